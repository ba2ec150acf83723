"""What the child process does with a package, called directly: the tests of the child itself are in test_child.py."""

import subprocess
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest

from hwdash.drivers.errors import LimitExceeded, ParseError
from hwdash.drivers.pe import PeLayout
from hwdash.pipeline.inspection import check_infs, prepare
from hwdash.pipeline.unpacking import MEASURES_AHEAD
from service import SAMPLE, X64, Entry, sample_entries, unsigned_cabinet

IMAGE = (SAMPLE / "hwdash_sample.sys").read_bytes()


def prepared(cabinet: Path, folder: Path):
    folder.mkdir()
    return prepare(
        {
            "package": [str(cabinet)],
            "name": cabinet.name,
            "folder": str(folder),
            "submission": 7,
            "signatures": [X64],
            "kind": "attestation",
            "today": "2027-01-01",
        }
    )


def prepared_with(tmp_path: Path, contents: Mapping[str, bytes]):
    """The answer for the sample driver with more files beside it, and those of its one bundle by name."""
    more: list[Entry] = [(f"hwdash_sample\\{name}", content) for name, content in contents.items()]
    answer = prepared(unsigned_cabinet(tmp_path, sample_entries() + more), tmp_path / "files")
    (bundle,) = answer["bundles"]
    return answer, {file["path"].removeprefix("hwdash_sample/"): file for file in bundle["files"]}


def digest_by(tool: str, file: Path) -> str:
    return subprocess.run([tool, str(file)], check=True, capture_output=True, text=True).stdout.split()[0]


def authenticode_digest_by_osslsigncode(algorithm: str, file: Path) -> str:
    """What osslsigncode extracts to be signed elsewhere ends with the digest and an empty SET of signers."""
    extracted = file.with_suffix(f".{algorithm}")
    command = ["osslsigncode", "extract-data", "-h", algorithm, "-in", str(file), "-out", str(extracted)]
    subprocess.run(command, check=True, capture_output=True)
    content = extracted.read_bytes().removesuffix(b"\x31\x00")
    return content[-{"sha1": 20, "sha256": 32}[algorithm] :].hex()


FLAT = {
    "empty.txt": b"",
    "firmware.bin": bytes(range(256)) * 9001,
    "begins-like-a-program.dat": b"MZ" + bytes(70_000),
    "one-byte.dat": b"M",
}


class TestUnpackedFiles:
    def test_flat_files_are_unpacked_whole_and_digested_as_sha1sum_and_sha256sum_do(self, tmp_path: Path):
        _, files = prepared_with(tmp_path, FLAT)
        for name, content in FLAT.items():
            stored = tmp_path / "files" / files[name]["stored"]
            assert stored.read_bytes() == content
            assert files[name]["size"] == len(content)
            assert files[name]["sha1"] == digest_by("sha1sum", stored)
            assert files[name]["sha256"] == digest_by("sha256sum", stored)
            assert files[name]["layout"] is None

    def test_pe_files_are_digested_as_osslsigncode_does(self, tmp_path: Path):
        images = {"overlay.dll": IMAGE + b"more than the sections hold" * 50_000, "odd.exe": IMAGE + b"x"}
        _, files = prepared_with(tmp_path, images)
        for name in ("hwdash_sample.sys", *images):
            stored = tmp_path / "files" / files[name]["stored"]
            assert stored.read_bytes() == images.get(name, IMAGE)
            for algorithm in ("sha1", "sha256"):
                assert files[name][algorithm] == authenticode_digest_by_osslsigncode(algorithm, stored)
            assert PeLayout(**files[name]["layout"]).body_size == files[name]["size"]

    def test_a_pe_file_under_any_name_is_measured_as_one(self, tmp_path: Path):
        _, files = prepared_with(tmp_path, {"program.bin": IMAGE})
        assert files["program.bin"]["sha256"] == files["hwdash_sample.sys"]["sha256"]
        assert files["program.bin"]["layout"] is not None

    def test_every_file_keeps_its_own_facts_however_many_wait_to_be_measured(self, tmp_path: Path):
        contents = {f"{number:04}.bin": b"%d" % number * (number % 7) for number in range(3 * MEASURES_AHEAD)}
        _, files = prepared_with(tmp_path, {"0000-first.bin": bytes(3_000_000)} | contents)
        assert {name: (tmp_path / "files" / files[name]["stored"]).read_bytes() for name in contents} == contents
        assert {name: files[name]["size"] for name in contents} == {name: len(each) for name, each in contents.items()}
        stored = [file["stored"] for file in files.values()]
        assert len(set(stored)) == len(stored)

    def test_memory_stays_flat_whatever_the_size_of_a_file(self, tmp_path: Path):
        cabinet = unsigned_cabinet(
            tmp_path, [*sample_entries(), ("hwdash_sample\\a.bin", bytes(24 << 20)), ("hwdash_sample\\b.bin", bytes(9))]
        )
        tracemalloc.start()
        try:
            prepared(cabinet, tmp_path / "files")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 8 << 20

    def test_a_second_run_gives_the_same_answer(self, tmp_path: Path):
        cabinet = unsigned_cabinet(tmp_path, sample_entries())
        assert prepared(cabinet, tmp_path / "one") == prepared(cabinet, tmp_path / "two")


class TestFindings:
    @pytest.mark.parametrize(
        ("content", "why"),
        [
            (b"", "does not begin with MZ"),
            (b"#!/bin/sh\n", "does not begin with MZ"),
            (b"MZ", "truncated"),
            (b"MZ" + bytes(500), "is not the place of a PE header"),
            (IMAGE[:3000], "section"),
        ],
        ids=["empty", "script", "two bytes", "no header", "cut off"],
    )
    def test_a_file_named_like_an_executable_must_be_a_sound_pe_file(self, tmp_path: Path, content: bytes, why: str):
        answer, files = prepared_with(tmp_path, {"Broken.DLL": content})
        (finding,) = [each for each in answer["findings"] if each["rule"] == "package.not-a-pe-file"]
        assert finding["level"] == "error"
        assert finding["file"] == "hwdash_sample/Broken.DLL"
        assert why in finding["message"]
        assert files["Broken.DLL"]["layout"] is None

    def test_each_unsound_file_is_told_in_the_order_of_the_cabinet(self, tmp_path: Path):
        names = [f"{number}.sys" for number in (3, 1, 2)]
        answer, _ = prepared_with(tmp_path, dict.fromkeys(names, b"text"))
        broken = [each for each in answer["findings"] if each["rule"] == "package.not-a-pe-file"]
        assert [each["file"].removeprefix("hwdash_sample/") for each in broken] == names

    def test_other_files_may_hold_what_they_like(self, tmp_path: Path):
        answer, _ = prepared_with(tmp_path, FLAT)
        assert [each["rule"] for each in answer["findings"]] == ["package.unreferenced-file"]


def test_a_damaged_block_ends_the_unpacking_and_says_where(tmp_path: Path):
    cabinet = unsigned_cabinet(tmp_path, [*sample_entries(), ("hwdash_sample\\last.bin", bytes(range(256)) * 4000)])
    damaged = bytearray(cabinet.read_bytes())
    damaged[-10] ^= 1
    cabinet.write_bytes(damaged)
    with pytest.raises(ParseError, match="checksum is wrong") as caught:
        prepared(cabinet, tmp_path / "files")
    assert 0 < (caught.value.offset or 0) < len(damaged)


INF = (SAMPLE / "hwdash_sample.inf").read_bytes()


def prepared_with_inf(tmp_path: Path, inf: bytes):
    entries: list[Entry] = [("d\\hwdash_sample.inf", inf), ("d\\hwdash_sample.sys", IMAGE)]
    answer = prepared(unsigned_cabinet(tmp_path, entries), tmp_path / "files")
    return answer, check_infs({"folder": str(tmp_path / "files"), "bundles": answer["bundles"]})


@pytest.mark.parametrize("name", ["..\\x.cat", "sub\\x.cat", "C:x.cat", "x.sys", "nul.cat"])
def test_a_catalog_name_that_is_no_plain_file_name_is_refused_with_its_place(tmp_path: Path, name: str):
    answer, _ = prepared_with_inf(tmp_path, INF.replace(b"hwdash_sample.cat", name.encode()))
    (finding,) = answer["findings"]
    assert (finding["rule"], finding["level"]) == ("package.catalog-name", "error")
    assert finding["file"] == "d/hwdash_sample.inf"
    assert answer["bundles"][0]["catalogs"] == []


def test_the_sample_is_declarative_and_without_a_finding(tmp_path: Path):
    _, checked = prepared_with_inf(tmp_path, INF)
    assert checked == {"findings": [], "isDeclarative": True, "hasDevices": True}


def test_a_legacy_way_to_install_costs_the_declarative_verdict_but_not_the_signature(tmp_path: Path):
    legacy = INF.replace(
        b"[Strings]",
        b"[Sample_Install.NT.CoInstallers]\r\nAddReg = Co\r\n[Co]\r\nHKR,,CoInstallers32,0x10000,mine.dll\r\n[Strings]",
    )
    _, checked = prepared_with_inf(tmp_path, legacy)
    assert checked["isDeclarative"] is False
    assert [(each["rule"], each["level"]) for each in checked["findings"]] == [("inf.1303", "warning")]


def test_any_other_error_of_an_inf_stays_one(tmp_path: Path):
    _, checked = prepared_with_inf(tmp_path, INF.replace(b"%Device% =", b"%Nothing% ="))
    assert ("inf.1235", "error") in [(each["rule"], each["level"]) for each in checked["findings"]]


def test_an_inf_of_no_reasonable_size_is_refused_without_being_read_whole(tmp_path: Path):
    answer, _ = prepared_with_inf(tmp_path, INF)
    stored = tmp_path / "files" / answer["bundles"][0]["files"][0]["stored"]
    with stored.open("r+b") as stream:
        stream.truncate(1 << 30)
    tracemalloc.start()
    with pytest.raises(LimitExceeded, match=r"hwdash_sample\.inf"):
        check_infs({"folder": str(tmp_path / "files"), "bundles": answer["bundles"]})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20
