import io
import random
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authenticode_oracle import signatory
from hlkx_writer import FOLDER, PACKAGE_INFO, STREAM, Form, hlkx_parts, packed, sign
from hwdash.drivers.cab import CabinetLimits, write_cabinet
from hwdash.drivers.container import PackageContainer
from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError, VerificationError
from hwdash.drivers.hlkx import UNPROVEN, Hlkx, PackageInfo, ResultCount, verify_hlkx
from hwdash.drivers.package import check_layout
from hwdash.drivers.xml_document import parse_xml

INF = b"[Version]\r\nSignature=$WINDOWS NT$\r\n"
DRIVER = {"widget/widget.inf": INF, "widget/widget.sys": b"MZ" * 500, "widget/sub/a.dll": b"MZ"}


def cabinet(files: Mapping[str, bytes] = DRIVER) -> bytes:
    stream = io.BytesIO()
    write_cabinet(stream, [(name.replace("/", "\\"), content) for name, content in files.items()])
    return stream.getvalue()


def zip_file(files: Mapping[str, bytes] = DRIVER) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def opened(raw: bytes) -> Hlkx:
    return Hlkx.open(io.BytesIO(raw), source="x.hlkx")


def unsigned(stream: bytes = b"stream", more: Mapping[str, bytes] | None = None) -> Hlkx:
    return opened(packed(hlkx_parts(stream, more)))


def contents(hlkx: Hlkx) -> dict[str, bytes]:
    extracted = [(file, b"".join(pieces)) for file, pieces in hlkx.extract()]
    assert sorted(file.name for file, _ in extracted) == sorted(file.name for file in hlkx.files)
    assert all(len(content) == file.size for file, content in extracted)
    return {file.name: content for file, content in extracted}


def rules(hlkx: Hlkx) -> list[str]:
    return [finding.rule for finding in hlkx.findings]


# --- Where the drivers are


@pytest.mark.parametrize(("make", "form"), [(cabinet, "cabinet"), (zip_file, "zip file")])
def test_drivers_are_found_in_a_cabinet_or_a_zip_file_inside(make: Callable[[], bytes], form: str) -> None:
    hlkx = unsigned(make())
    (found,) = hlkx.drivers
    assert (found.folder, found.form, found.part) == ("widget", form, f"/{STREAM}")
    assert contents(hlkx) == DRIVER


def test_drivers_are_found_as_parts_that_have_a_files_name() -> None:
    more = {
        "drivers/my%20widget/a.inf": INF,
        "drivers/my%20widget/a.sys": b"MZ",
        "drivers/my%20widget/0123": b"a stream",
        "drivers/readme.txt": b"no driver",
    }
    hlkx = unsigned(more=more)
    assert contents(hlkx) == {"my widget/a.inf": INF, "my widget/a.sys": b"MZ"}
    assert [(each.form, each.part) for each in hlkx.drivers] == [("parts", "/drivers/my widget")]


def test_an_inf_beside_the_streams_does_not_make_drivers_of_them() -> None:
    hlkx = unsigned(more={"hck/data/a.inf": INF})
    assert contents(hlkx) == {"data/a.inf": INF}


def test_the_folder_of_an_inf_is_the_driver_folder_however_deep_it_is() -> None:
    files = {"drivers/x64/widget/a.inf": INF, "drivers/x64/widget/a.sys": b"1", "drivers/notes.txt": b"2"}
    assert contents(unsigned(zip_file(files))) == {"widget/a.inf": INF, "widget/a.sys": b"1"}


def test_an_inf_at_the_root_of_a_cabinet_makes_a_folder_of_the_parts_name() -> None:
    hlkx = unsigned(cabinet({"a.inf": INF, "sub/b.inf": INF}))
    assert list(contents(hlkx)) == [f"{STREAM[9:]}/a.inf", f"{STREAM[9:]}/sub/b.inf"]


def test_folders_of_one_name_are_kept_apart() -> None:
    more = {"hck/data/1": cabinet(), "hck/data/2": zip_file({"WIDGET/b.inf": b"2"}), "x/widget/c.inf": b"3"}
    hlkx = unsigned(more=more)
    assert {each.folder: each.part for each in hlkx.drivers} == {
        "widget": "/hck/data/1",
        "WIDGET-2": "/hck/data/2",
        "widget-3": "/x/widget",
    }
    assert set(contents(hlkx)) == {*DRIVER, "WIDGET-2/b.inf", "widget-3/c.inf"}


def test_archives_without_an_inf_are_left_out() -> None:
    hlkx = unsigned(more={"hck/data/log": zip_file({"log/a.txt": b"passed"})})
    assert hlkx.drivers == ()
    assert "package.hlkx-part-unreadable" not in rules(hlkx)


def test_an_archive_that_cannot_be_read_is_told_and_left_out() -> None:
    hlkx = unsigned(cabinet(), {"hck/data/log": b"PK\3\4 and so on", "hck/data/other": cabinet()[:-10]})
    told = [finding for finding in hlkx.findings if finding.rule == "package.hlkx-part-unreadable"]
    assert {finding.file for finding in told} == {"/hck/data/log", "/hck/data/other"}
    assert contents(hlkx) == DRIVER


def test_a_cabinet_with_two_files_of_one_name_is_left_out() -> None:
    stream = io.BytesIO()
    write_cabinet(stream, [("w\\a.inf", INF), ("w\\b.inf", INF)])
    hlkx = unsigned(stream.getvalue().replace(b"b.inf", b"a.inf"))
    assert hlkx.drivers == ()
    assert "two files of one name" in hlkx.findings[1].message


def test_hostile_names_inside_stay_as_they_are_for_the_layout_rules_to_refuse() -> None:
    hlkx = unsigned(cabinet({"w/a.inf": INF, "w/../../evil.sys": b""}))
    names = [file.name for file in hlkx.files]
    assert names == ["w/a.inf", "w/../../evil.sys"]
    assert [each.rule for each in check_layout(names) if each.level == "error"] == ["package.unsafe-name"]


def test_an_hlk_package_is_a_package_container() -> None:
    container: PackageContainer = unsigned(cabinet())
    container.check_limits(CabinetLimits())
    assert {(file.name, file.size) for file in container.files} == {(k, len(v)) for k, v in DRIVER.items()}


def test_the_temporary_file_is_one_for_all_and_removed() -> None:
    made: list[IO[bytes]] = []

    def spool() -> IO[bytes]:
        made.append(tempfile.TemporaryFile())  # noqa: SIM115 - the package closes it
        return made[-1]

    raw = packed(hlkx_parts(cabinet(), {"hck/data/2": zip_file()}))
    hlkx = Hlkx.open(io.BytesIO(raw), source="x.hlkx", spool=spool)
    assert made == []
    assert len(contents(hlkx)) == 2 * len(DRIVER)
    hlkx.close()
    assert [each.closed for each in made] == [True]
    opened(raw).close()


def test_memory_stays_flat() -> None:
    noise = random.Random(1).randbytes(24 << 20)
    stream = io.BytesIO(packed(hlkx_parts(zip_file({"w/a.inf": INF, "w/a.bin": noise}))))
    hlkx = Hlkx.open(stream, source="x.hlkx")
    tracemalloc.start()
    try:
        assert sum(len(piece) for _, pieces in hlkx.extract() for piece in pieces) == len(INF) + len(noise)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    hlkx.close()
    assert peak < 4 << 20


# --- Limits


def test_limits_hold_for_the_package_and_for_the_drivers_inside() -> None:
    raw = packed(hlkx_parts(cabinet({"w/a.inf": INF, "w/a.sys": bytes(100_000)})))
    opened(raw).check_limits(CabinetLimits())
    with pytest.raises(LimitExceeded, match=r"x\.hlkx: unpacks to"):
        opened(raw).check_limits(CabinetLimits(max_total_bytes=1000))
    with pytest.raises(LimitExceeded, match=f"x\\.hlkx/{STREAM}: unpacks to"):
        opened(raw).check_limits(CabinetLimits(max_total_bytes=50_000))
    with pytest.raises(LimitExceeded, match="a decompression bomb"):
        opened(raw).check_limits(CabinetLimits(ratio_applies_above=50_000, max_ratio=20))


def test_limits_hold_for_all_drivers_together() -> None:
    more = {f"hck/data/{number}": zip_file({"w/a.inf": INF + bytes(50_000)}) for number in range(3)}
    with pytest.raises(LimitExceeded, match="the drivers inside are 3 files of 150"):
        unsigned(more=more).check_limits(CabinetLimits(max_total_bytes=140_000))


# --- PackageInfo.xml


def test_package_info_is_read() -> None:
    info = unsigned().package_info
    assert (info.type, info.kit_version, info.project) == ("SubmissionPackage", "10.1.22621.1", "Contoso widget")
    assert (info.package_version, info.format_version) == ("1.0", "2.0.0.0")
    assert (info.is_universal, info.is_windows_driver) == (True, False)
    assert info.operating_systems == ("WINDOWS_v100_X64_22H2_FULL",)
    assert info.driver_ids == ("d-1",)
    assert info.tests == ResultCount(5, 1, 2)


def info_of(text: str) -> PackageInfo:
    return PackageInfo.read(parse_xml(text.encode(), source="x", field="y"))


def test_package_info_that_looks_otherwise_is_read_as_far_as_possible() -> None:
    info = info_of("<Other/>")
    assert (info.type, info.project, info.is_universal, info.tests) == (None, None, None, None)
    assert (info.operating_systems, info.driver_ids) == ((), ())
    assert info_of('<a xmlns="urn:b"><c IsUniversal="False"/></a>').is_universal is False
    assert info_of('<a><TestRollup Passed="1" Failed="many" NotRun="2"/></a>').tests is None


def test_of_several_counts_the_topmost_is_the_packages() -> None:
    inner, outer = (f'<TestRollup Passed="{passed}" Failed="0" NotRun="0"/>' for passed in (1, 7))
    assert info_of(f"<a><b><c>{inner}</c></b>{outer}</a>").tests == ResultCount(7, 0, 0)


def test_a_package_without_package_info_is_refused() -> None:
    parts = hlkx_parts()
    del parts["hck/data/PackageInfo.xml"]
    with pytest.raises(ParseError, match="not a package that HLK Studio made"):
        opened(packed(parts))


# --- Findings


def test_every_package_is_told_to_be_unproven() -> None:
    hlkx = opened(packed(sign(hlkx_parts(cabinet()), signatory("rsa"))))
    assert hlkx.findings == [UNPROVEN]
    assert (UNPROVEN.level, UNPROVEN.inferred) == ("warning", True)


def test_an_unsigned_package_is_told_so() -> None:
    hlkx = unsigned(cabinet())
    assert hlkx.signature is None
    assert rules(hlkx) == ["package.hlkx-unproven", "package.unsigned"]
    assert "HLK package" in hlkx.findings[1].message


def test_a_package_without_drivers_is_told_with_how_its_streams_begin() -> None:
    (finding,) = (each for each in unsigned(b"\x01\x0f\0\0stream").findings if each.rule == "package.hlkx-no-drivers")
    assert (finding.level, finding.inferred) == ("error", True)
    assert f"/{STREAM} (10 bytes, beginning 01 0f 00 00 73 74 72 65 61 6d)" in finding.message


# --- Signatures


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_the_signer_is_told(kind: str) -> None:
    hlkx = opened(packed(sign(hlkx_parts(cabinet()), signatory(kind))))
    assert hlkx.signature is not None
    found = verify_hlkx(hlkx, source="x.hlkx")
    assert (found.signer, found.certificates) == (signatory(kind).leaf, (signatory(kind).leaf,))
    assert (found.digest_algorithm, len(found.digest), found.program_name) == ("sha256", 32, None)
    assert contents(hlkx) == DRIVER


def test_the_digest_tells_packages_apart() -> None:
    one, other = (packed(sign(hlkx_parts(stream), signatory("rsa"))) for stream in (b"1", b"2"))
    digests = [verify_hlkx(opened(raw), source="x.hlkx").digest for raw in (one, one, other)]
    assert digests[0] == digests[1] != digests[2]


def test_of_several_signers_the_first_is_told() -> None:
    parts = sign(hlkx_parts(), signatory("rsa"))
    twice = sign(parts, signatory("ec"), name=f"{FOLDER}/xml-signature/2.psdsxs")
    assert verify_hlkx(opened(packed(twice)), source="x.hlkx").signer == signatory("rsa").leaf


@pytest.mark.parametrize("form", [Form(digest="sha1"), Form(signature="sha1")])
def test_sha_1_is_refused_unless_it_is_accepted(form: Form) -> None:
    hlkx = opened(packed(sign(hlkx_parts(), signatory("rsa"), form)))
    with pytest.raises(VerificationError, match="SHA-1: SHA-2 is required"):
        verify_hlkx(hlkx, source="x.hlkx")
    assert verify_hlkx(hlkx, source="x.hlkx", accept_sha1=True).signer == signatory("rsa").leaf


def test_a_driver_added_to_a_signed_package_is_refused() -> None:
    parts = sign(hlkx_parts(), signatory("rsa")) | {"hck/data/evil": cabinet()}
    with pytest.raises(VerificationError, match="not signed: /hck/data/evil"):
        verify_hlkx(opened(packed(parts)), source="x.hlkx")


def test_the_signatures_own_parts_are_never_taken_for_drivers() -> None:
    parts = sign(hlkx_parts(), signatory("rsa"))
    place = next(name for name in parts if name.endswith(".cer"))
    renamed = {name: content.replace(place.encode(), b"drv/a.inf") for name, content in parts.items()}
    renamed["drv/a.inf"] = renamed.pop(place)
    types = {"/drv/a.inf": "application/vnd.openxmlformats-package.digital-signature-certificate"}
    hlkx = opened(packed(renamed, types))
    assert verify_hlkx(hlkx, source="x.hlkx")
    assert hlkx.drivers == ()


def test_an_unsigned_package_does_not_verify() -> None:
    with pytest.raises(VerificationError, match="the package is not signed"):
        verify_hlkx(unsigned(), source="x.hlkx")


# --- Arbitrary input


def read_everything(raw: bytes) -> None:
    hlkx = opened(raw)
    try:
        hlkx.check_limits(CabinetLimits(max_total_bytes=1 << 20))
        for _, pieces in hlkx.extract():
            for _ in pieces:
                pass
        assert hlkx.findings
        verify_hlkx(hlkx, source="x.hlkx")
    finally:
        hlkx.close()


SAMPLE = packed(sign(hlkx_parts(cabinet(), {"hck/data/2": zip_file()}), signatory("ec")), method=zipfile.ZIP_STORED)


@settings(deadline=3000, max_examples=200)
@given(st.data())
def test_changed_packages_raise_only_our_errors(data: st.DataObject) -> None:
    raw = bytearray(SAMPLE)
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    with suppress(DriversError):
        read_everything(bytes(raw))


@settings(deadline=3000, max_examples=200)
@given(st.data())
def test_changed_contents_raise_only_our_errors(data: st.DataObject) -> None:
    """As above, with the checksums of the outer zip file made right again."""
    streams = {"stream": bytearray(cabinet()), "more": bytearray(zip_file()), "info": bytearray(PACKAGE_INFO)}
    for _ in range(data.draw(st.integers(1, 4))):
        content = data.draw(st.sampled_from([*streams.values()]))
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    parts = hlkx_parts(bytes(streams["stream"]), {"hck/data/2": bytes(streams["more"])})
    parts["hck/data/PackageInfo.xml"] = bytes(streams["info"])
    with suppress(DriversError):
        read_everything(packed(parts))
