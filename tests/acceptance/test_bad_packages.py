"""Packages that must be refused, sent to a running service: each gets a message that names the place, the rule and the
remedy, and the service goes on.
"""

import io
import ssl
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from clamd import EICAR, EICAR_SIGNATURE, running_clamd
from hwdash.drivers.cab_format import BLOCK, BLOCK_SIZE, FILE, FOLDER, HEADER, MAX_BLOCKS, signature_reserve
from service import (
    SAMPLE,
    X64,
    ApiClient,
    Entry,
    Served,
    Vendor,
    download_url,
    make_service,
    new_vendor,
    sample_entries,
    serve,
    signed_cabinet,
    unsigned_cabinet,
)

INF = r"hwdash_sample\hwdash_sample.inf"
SYS = r"hwdash_sample\hwdash_sample.sys"
SERVER = "WINDOWS_v100_SERVER_X64_FE_FULL"


@pytest.fixture(scope="module")
def anonymous(service: Served) -> Iterator[httpx.Client]:
    """HTTP without a token."""
    with httpx.Client(verify=_trust(service), base_url=service.url) as http:
        yield http


def _trust(service: Served) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=service.made.credentials["caCertificate"])


@pytest.fixture(autouse=True)
def the_service_goes_on(service: Served, anonymous: httpx.Client) -> Iterator[None]:
    """After every test the service still answers, and its log tells of no accident."""
    before = service.log.stat().st_size
    yield
    assert anonymous.get("/healthz").status_code == 200
    assert service.process.poll() is None
    with service.log.open() as log:
        log.seek(before)
        assert "Traceback" not in log.read()


@pytest.fixture
def refused(client: ApiClient, anonymous: httpx.Client) -> Callable[..., list[str]]:
    """Submit a package that must fail in ``step``: its messages, which the error report holds too."""

    def submit(package: Path | bytes, step: str, **product: object) -> list[str]:
        failed = client.submit(package, **product)
        return _messages(anonymous, failed, step)

    return submit


def _messages(anonymous: httpx.Client, failed: dict[str, Any], step: str) -> list[str]:
    status = failed["workflowStatus"]
    assert (status["currentStep"], status["state"]) == (step, "failed"), status
    assert failed["commitStatus"] == "commitComplete"
    is_prepared = step not in ("packageInfoValidation", "preparation")
    types = ["initialPackage", *(["driverMetadata"] if is_prepared else [])]
    assert [item["type"] for item in failed["downloads"]["items"]] == types
    messages: list[str] = status["messages"]
    assert messages
    # A SAS URL needs no login; clients read it as text (contract: errorReport).
    report = anonymous.get(status["errorReport"])
    assert report.status_code == 200
    assert report.headers["Content-Type"].startswith("text/plain")
    lines = report.text.splitlines()
    assert [line for line in lines if line in messages] == messages
    assert step in lines[0]
    assert str(failed["id"]) in lines[0]
    return messages


def _errors(messages: Sequence[str]) -> list[str]:
    return [message for message in messages if message.startswith("ERROR ")]


def _only_error(messages: Sequence[str]) -> str:
    errors = _errors(messages)
    assert len(errors) == 1, errors
    return errors[0]


def _signed(vendor: Vendor, folder: Path, content: bytes) -> Path:
    """A cabinet made by hand, signed."""
    unsigned = folder / "by-hand.cab"
    unsigned.write_bytes(content)
    return vendor.sign(unsigned, folder / "by-hand.signed.cab")


# --- Not a cabinet, or not a whole one


def _zip_of_the_sample() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in sample_entries():
            assert isinstance(content, Path)
            archive.write(content, name.replace("\\", "/"))
    return target.getvalue()


def test_a_zip_file_in_place_of_a_cabinet_is_called_so(refused: Callable[..., list[str]]) -> None:
    messages = _errors(refused(_zip_of_the_sample(), "packageInfoValidation"))
    assert len(messages) == 1
    assert "package.container in Initial_" in messages[0]
    assert "The package is a zip file; attestation takes a signed cabinet." in messages[0]
    assert "hwdash package build" in messages[0]


def test_what_is_no_cabinet_is_called_so(refused: Callable[..., list[str]]) -> None:
    message = _only_error(refused(b"not a cabinet at all\n" * 100, "packageInfoValidation"))
    assert "package.unreadable" in message
    assert "Initial_" in message
    assert ".cab" in message
    assert "not a cabinet: it does not begin with MSCF" in message
    assert "Build the cabinet anew" in message


@pytest.mark.parametrize("kept", [4, 70, 1080], ids=lambda kept: f"{kept} bytes of 1090")
def test_a_cabinet_cut_off_anywhere_is_called_so(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path, kept: int
) -> None:
    whole = signed_cabinet(tmp_path, service.made.vendor).read_bytes()
    message = _only_error(refused(whole[:kept], "packageInfoValidation"))
    assert "package.unreadable in Initial_" in message or "package.unreadable: Initial_" in message
    assert "truncated" in message or "the file has" in message
    assert "Build the cabinet anew" in message


def test_a_signature_cut_off_is_called_so(refused: Callable[..., list[str]], service: Served, tmp_path: Path) -> None:
    whole = signed_cabinet(tmp_path, service.made.vendor).read_bytes()
    message = _only_error(refused(whole[:-100], "packageInfoValidation"))
    assert "package.signature-invalid in Initial_" in message
    assert "the signature lies outside the file" in message
    assert "Sign the cabinet anew" in message


def test_damaged_content_under_a_good_signature_is_found_when_it_is_unpacked(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    content = bytearray(unsigned_cabinet(tmp_path, sample_entries()).read_bytes())
    content[-20] ^= 0xFF
    message = _only_error(refused(_signed(service.made.vendor, tmp_path, bytes(content)), "preparation"))
    assert "package.unreadable" in message
    assert "checksum is wrong: the cabinet is damaged" in message
    assert "Build the cabinet anew" in message


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        pytest.param(30, 0x0004 | 0x0002, "part of a set of cabinets", id="part of a set"),
        pytest.param(25, 2, "version 2.3, expected 1.3", id="another version"),
    ],
)
def test_a_cabinet_of_another_kind_is_refused_by_name(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path, at: int, value: int, said: str
) -> None:
    content = bytearray(signed_cabinet(tmp_path, service.made.vendor).read_bytes())
    content[at] = value
    message = _only_error(refused(bytes(content), "packageInfoValidation"))
    assert "package.unreadable" in message
    assert said in message


def test_content_that_is_not_packed_as_the_header_says_is_called_damaged(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    content = bytearray(unsigned_cabinet(tmp_path, sample_entries()).read_bytes())
    struct.pack_into("<H", content, HEADER.size + 24 + 6, 0x1503)  # typeCompress of the first folder: LZX, window 2**21
    message = _only_error(refused(_signed(service.made.vendor, tmp_path, bytes(content)), "preparation"))
    assert "package.unreadable" in message
    assert "LZX" in message
    assert "is damaged" in message
    assert "Build the cabinet anew" in message


def test_an_empty_cabinet_is_refused(refused: Callable[..., list[str]], service: Served, tmp_path: Path) -> None:
    message = _only_error(refused(signed_cabinet(tmp_path, service.made.vendor, []), "packageInfoValidation"))
    assert "package.empty" in message
    assert "Put each driver, with its INF, in a folder of the cabinet." in message


def test_a_package_of_no_bytes_is_refused_at_commit_and_can_be_sent_again(
    client: ApiClient, service: Served, tmp_path: Path
) -> None:
    submission = client.create_submission(client.create_product()["id"])
    assert client.upload(submission, b"").status_code == 201
    answer = client.commit(submission)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "invalidInput"
    assert f"Initial_{submission['id']}.cab is empty" in error["message"]
    assert "commit again" in error["message"]
    assert client.get_submission(submission)["commitStatus"] == "commitPending"
    assert client.upload(submission, signed_cabinet(tmp_path, service.made.vendor)).status_code == 201
    assert client.commit(submission).status_code == 202


# --- Bombs


def _bomb(vendor: Vendor, folder: Path, plain_bytes: int, *, declared: int | None = None) -> Path:
    """A signed cabinet of ``plain_bytes`` zeros in MSZIP, written block by equal block.

    ``declared`` is the size that the header gives for its one file; by default the files cover everything.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"CK" + packer.compress(bytes(BLOCK_SIZE)) + packer.flush()
    block = BLOCK.pack(0, len(packed), BLOCK_SIZE) + packed
    blocks = plain_bytes // BLOCK_SIZE
    folders = [min(MAX_BLOCKS, blocks - done) for done in range(0, blocks, MAX_BLOCKS)]
    names = [rf"hwdash_sample\zeros{number}.bin".encode() + b"\0" for number in range(len(folders))]
    files_at = HEADER.size + 24 + FOLDER.size * len(folders)
    data_at = files_at + sum(FILE.size + len(name) for name in names)
    size = data_at + blocks * len(block)
    head = HEADER.pack(b"MSCF", 0, size, 0, files_at, 0, 3, 1, len(folders), len(names), 0x0004, 0, 0)
    head += signature_reserve(0, 0)
    at = data_at
    for count in folders:
        head += FOLDER.pack(at, count, 1)
        at += count * len(block)
    for number, (count, name) in enumerate(zip(folders, names, strict=True)):
        head += FILE.pack(declared or count * BLOCK_SIZE, 0, number, 0x0021, 0, 0x20) + name
    unsigned = folder / "bomb.cab"
    unsigned.write_bytes(head + block * blocks)
    return vendor.sign(unsigned, folder / "bomb.signed.cab")


def test_a_bomb_of_4_gb_in_7_mb_is_refused_before_anything_is_unpacked(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    bomb = _bomb(service.made.vendor, tmp_path, 4 << 30)
    assert 4e6 < bomb.stat().st_size < 9e6
    message = _only_error(refused(bomb, "packageInfoValidation"))
    assert "Initial_" in message
    assert f"unpack to {4 << 30}" in message
    assert "decompression bomb" in message
    assert "Build the cabinet anew" in message


def test_a_bomb_beyond_the_size_limit_is_refused_with_the_limit(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    bomb = _bomb(service.made.vendor, tmp_path, (4 << 30) + BLOCK_SIZE)
    message = _only_error(refused(bomb, "packageInfoValidation"))
    assert f"at most {4 << 30} are allowed" in message


# --- Names


ASTRAY = {
    r"hwdash_sample\..\..\evil.sys": "it has the component '..'",
    r"..\evil.sys": "it has the component '..'",
    r"hwdash_sample\.\evil.sys": "it has the component '.'",
    r"\Windows\evil.sys": "it is an absolute or network path",
    r"\\server\share\evil.sys": "it is an absolute or network path",
    r"C:\Windows\evil.sys": "it has a colon",
    r"hwdash_sample\readme.txt:evil": "it has a colon",
    r"hwdash_sample\NUL.txt": "the name of a DOS device",
    r"hwdash_sample\evil.txt.": "ends with a dot or a blank",
    "hwdash_sample\\evil\n.txt": "a character that cannot be printed",
}


def test_names_that_lead_astray_are_refused_one_by_one(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    entries: list[Entry] = [*sample_entries(), *((name, b"content") for name in ASTRAY)]
    messages = refused(signed_cabinet(tmp_path, service.made.vendor, entries), "packageInfoValidation")
    unsafe = [message for message in messages if "package.unsafe-name" in message]
    assert len(unsafe) == len(ASTRAY)
    for message, (name, why) in zip(unsafe, ASTRAY.items(), strict=True):
        assert repr(name) in message
        assert why in message
        assert "Store files under plain relative names." in message
    # A name may not write lines of its own into what people read.
    assert not [message for message in messages if not message.isprintable()]
    assert not [found for found in service.made.data.parent.rglob("*evil*") if tmp_path not in found.parents]


@pytest.mark.parametrize("folder", [r"\Windows", "C:", ".."])
def test_a_single_absolute_or_climbing_name_is_enough_to_refuse(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path, folder: str
) -> None:
    entries: list[Entry] = [*sample_entries(), (rf"{folder}\evil.inf", SAMPLE / "hwdash_sample.inf")]
    messages = refused(signed_cabinet(tmp_path, service.made.vendor, entries), "packageInfoValidation")
    assert [message for message in _errors(messages) if "package.unsafe-name" in message]


@pytest.mark.parametrize("twin", [SYS, SYS.upper()])
def test_one_name_twice_is_refused(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path, twin: str
) -> None:
    package = signed_cabinet(tmp_path, service.made.vendor, [*sample_entries(), (twin, b"another")])
    message = _only_error(refused(package, "packageInfoValidation"))
    assert "package.duplicate-name" in message
    assert f"ignores case: {SYS} and {twin}." in message
    assert "Keep one of them, or rename it." in message


# --- Layout


def test_files_at_the_root_are_refused_by_name(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    at_root: list[Entry] = [(file.name, file) for file in sorted(SAMPLE.iterdir())]
    message = _only_error(refused(signed_cabinet(tmp_path, service.made.vendor, at_root), "packageInfoValidation"))
    assert "package.files-at-root" in message
    assert "hwdash_sample.inf, hwdash_sample.sys" in message
    assert "a folder of its own" in message


def test_a_folder_without_an_inf_is_refused_by_name(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    entries: list[Entry] = [*sample_entries(), (r"second\readme.txt", b"no INF here")]
    message = _only_error(refused(signed_cabinet(tmp_path, service.made.vendor, entries), "packageInfoValidation"))
    assert "package.no-inf in second" in message
    assert "Put the driver's INF in that folder" in message


def test_a_folder_name_of_forty_characters_is_refused(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    package = signed_cabinet(tmp_path, service.made.vendor, sample_entries("f" * 40))
    message = _only_error(refused(package, "packageInfoValidation"))
    assert "package.folder-name-length" in message
    assert "f" * 40 in message
    assert "39 are allowed" in message


def test_an_inf_that_names_a_missing_file_fails_with_file_and_line(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    inf = SAMPLE / "hwdash_sample.inf"
    message = _only_error(refused(signed_cabinet(tmp_path, service.made.vendor, [(INF, inf)]), "validation"))
    line = inf.read_text().splitlines().index("hwdash_sample.sys = 1") + 1
    assert f"package.file-missing in hwdash_sample/hwdash_sample.inf, line {line}:" in message
    assert "there is no hwdash_sample.sys in the driver folder" in message
    assert "Add the file, or correct the name" in message


# --- Files


@pytest.mark.parametrize(
    ("inf", "line", "said"),
    [
        (b'[Version]\r\nSignature = "$WINDOWS NT$"\r\n[Manufacturer\r\n', 3, "a section header without ']'"),
        (b'hello\n[Version]\nSignature = "$WINDOWS NT$"\n', 1, "text before the first [section]"),
        (b"[Version]\n\0\0\0\0\nClass = System\n", 2, "a nul character"),
    ],
)
def test_a_malformed_inf_fails_with_its_line(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path, inf: bytes, line: int, said: str
) -> None:
    entries: list[Entry] = [(INF, inf), (SYS, SAMPLE / "hwdash_sample.sys")]
    message = _only_error(refused(signed_cabinet(tmp_path, service.made.vendor, entries), "preparation"))
    assert f"inf.1002 in hwdash_sample/hwdash_sample.inf, line {line}:" in message
    assert said in message.lower()
    assert "Correct the line" in message


@pytest.mark.parametrize("content", [b"", b"not a program", b"MZ" + bytes(100)], ids=["empty", "text", "MZ alone"])
def test_a_sys_that_is_no_program_is_refused_by_name(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path, content: bytes
) -> None:
    entries: list[Entry] = [(INF, SAMPLE / "hwdash_sample.inf"), (SYS, content)]
    message = _only_error(refused(signed_cabinet(tmp_path, service.made.vendor, entries), "preparation"))
    assert "package.not-a-pe-file in hwdash_sample/hwdash_sample.sys:" in message
    assert "Put the linker's output into the package, unchanged." in message


def test_malware_is_refused_with_file_engine_and_signature(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    entries: list[Entry] = [*sample_entries(), (r"hwdash_sample\notes.txt", EICAR)]
    message = _only_error(refused(signed_cabinet(tmp_path, service.made.vendor, entries), "scanning"))
    assert "package.malware in hwdash_sample/notes.txt:" in message
    assert "yara-x 1" in message
    assert "eicar_test_file" in message
    assert "Remove the file" in message


def test_clamd_scans_where_it_is_configured(tmp_path: Path) -> None:
    clamd_folder = tmp_path / "clamd"
    clamd_folder.mkdir()
    with running_clamd(clamd_folder) as address, serve(make_service(tmp_path, HWDASH_CLAMD=address)) as served:
        client = served.client()
        with closing(client.http), httpx.Client(verify=_trust(served)) as http:
            vendor = served.made.vendor
            infected: list[Entry] = [*sample_entries(), (r"hwdash_sample\notes.txt", EICAR)]
            failed = client.submit(signed_cabinet(tmp_path, vendor, infected))
            message = _only_error(_messages(http, failed, "scanning"))
            assert "package.malware in hwdash_sample/notes.txt: clamd 1" in message
            assert EICAR_SIGNATURE in message
            clean = client.submit(signed_cabinet(tmp_path, vendor))
            assert clean["workflowStatus"]["state"] == "completed", clean["workflowStatus"]
            report = client.http.get(download_url(clean, "certificationReport")).text
            assert "clamd 1" in report
            assert "number of signatures not reported" in report
            assert "2 files: nothing found" in report


# --- Signatures


def test_an_unsigned_cabinet_is_refused(refused: Callable[..., list[str]], tmp_path: Path) -> None:
    message = _only_error(refused(unsigned_cabinet(tmp_path, sample_entries()), "packageInfoValidation"))
    assert "package.unsigned in Initial_" in message
    assert "SignatureValidationFailed: the cabinet is not signed" in message
    assert "Sign the cabinet (SHA-256) with a certificate that is registered" in message


def test_every_tampered_byte_class_breaks_the_signature(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    whole = signed_cabinet(tmp_path, service.made.vendor).read_bytes()
    (size,) = struct.unpack_from("<I", whole, 8)
    name_at = whole.index(b"hwdash_sample.sys")
    for at in (name_at, size - 1):
        changed = bytearray(whole)
        changed[at] ^= 0x01
        message = _only_error(refused(bytes(changed), "packageInfoValidation"))
        assert "package.signature-invalid in Initial_" in message
        assert "SignatureValidationFailed: the cabinet was changed after it was signed" in message
        assert "Sign the cabinet anew, and do not change it afterwards." in message


def test_a_signature_by_an_unregistered_certificate_is_refused_with_its_name(
    refused: Callable[..., list[str]], tmp_path: Path
) -> None:
    stranger = new_vendor("Stranger Ltd")
    message = _only_error(refused(signed_cabinet(tmp_path, stranger), "packageInfoValidation"))
    assert "package.signer-not-registered in Initial_" in message
    assert "SignatureValidationFailed" in message
    assert "Stranger Ltd" in message
    assert "is not registered with this account" in message
    assert "hwdash admin certificate add" in message


# --- What was asked for


def test_a_server_signature_fails_after_the_commit_naming_the_code(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    package = signed_cabinet(tmp_path, service.made.vendor)
    messages = refused(package, "packageInfoValidation", requestedSignatures=[X64, SERVER, "WINDOWS_v63_X64"])
    first, second = _errors(messages)
    assert f"package.signature-not-attested: {SERVER} cannot be had by attestation" in first
    assert "package.signature-not-attested: WINDOWS_v63_X64 cannot be had by attestation" in second
    assert "Create a product that requests client signatures of Windows 10 or later." in first


@pytest.mark.parametrize("harness", ["HLK", "HCK"])
def test_a_cabinet_for_an_hlk_product_is_refused_saying_what_is_asked_for(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path, harness: str
) -> None:
    package = signed_cabinet(tmp_path, service.made.vendor)
    message = _only_error(refused(package, "packageInfoValidation", testHarness=harness))
    assert "package.container in Initial_" in message
    assert f".{harness.lower()}x: The package is a cabinet" in message
    assert "WHQL takes a signed package of the HLK or HCK (.hlkx, .hckx)" in message
    assert "create the product with testHarness Attestation" in message


def test_a_package_without_the_architecture_asked_for_fails_naming_the_code(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    arm = "WINDOWS_v100_ARM64_CO_FULL"
    package = signed_cabinet(tmp_path, service.made.vendor)
    message = _only_error(refused(package, "validation", requestedSignatures=[arm]))
    assert f"package.signature-not-served: No INF of the package offers a device to {arm}." in message
    assert "request another signature" in message


def test_several_things_wrong_are_all_told_at_once(refused: Callable[..., list[str]], tmp_path: Path) -> None:
    entries: list[Entry] = [
        *sample_entries(),
        ("root.txt", b"at the root"),
        (r"other\readme.txt", b"no INF"),
        (r"..\evil.txt", b"astray"),
        (SYS.upper(), b"twice"),
    ]
    messages = refused(unsigned_cabinet(tmp_path, entries), "packageInfoValidation", requestedSignatures=[SERVER])
    rules = {message.split()[1].rstrip(":") for message in _errors(messages)}
    assert rules >= {
        "package.files-at-root",
        "package.no-inf",
        "package.unsafe-name",
        "package.duplicate-name",
        "package.unsigned",
        "package.signature-not-attested",
    }
    # Errors first, then what is only a warning.
    assert messages[: len(_errors(messages))] == _errors(messages)


def test_what_is_wrong_with_several_files_is_told_at_once(
    refused: Callable[..., list[str]], service: Served, tmp_path: Path
) -> None:
    entries: list[Entry] = [
        (INF, b"[Version\n"),
        (SYS, b"no program"),
        (r"second\second.inf", b"words\n[Version]\n"),
        (r"second\second.dll", b"no library"),
    ]
    messages = _errors(refused(signed_cabinet(tmp_path, service.made.vendor, entries), "preparation"))
    assert sorted(message.split(":")[0] for message in messages) == [
        "ERROR inf.1002 in hwdash_sample/hwdash_sample.inf, line 1",
        "ERROR inf.1002 in second/second.inf, line 1",
        "ERROR package.not-a-pe-file in hwdash_sample/hwdash_sample.sys",
        "ERROR package.not-a-pe-file in second/second.dll",
    ]


def test_a_package_that_cannot_be_read_does_not_hide_what_is_known_without_it(
    refused: Callable[..., list[str]],
) -> None:
    messages = _errors(refused(b"no cabinet", "packageInfoValidation", requestedSignatures=[SERVER]))
    assert [message.split()[1].rstrip(":") for message in messages] == [
        "package.unreadable",
        "package.signature-not-attested",
    ]


# --- The order of things


def test_a_commit_without_an_upload_is_refused_and_changes_nothing(client: ApiClient) -> None:
    submission = client.create_submission(client.create_product()["id"])
    answer = client.commit(submission)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "invalidInput"
    assert f"No package has been uploaded: Initial_{submission['id']}.cab is not there." in error["message"]
    assert "Upload it to the URL of the initialPackage download, then commit again." in error["message"]
    assert error["validationErrors"][0]["target"] == "downloads.initialPackage"
    again = client.get_submission(submission)
    assert again["commitStatus"] == "commitPending"
    assert "workflowStatus" not in again


def test_an_upload_after_the_commit_is_refused_and_the_first_package_counts(
    client: ApiClient, service: Served, tmp_path: Path
) -> None:
    package = signed_cabinet(tmp_path, service.made.vendor)
    submission = client.create_submission(client.create_product()["id"])
    assert client.upload(submission, package).status_code == 201
    assert client.commit(submission).status_code == 202
    late = client.upload(submission, b"another package")
    assert late.status_code == 403
    assert late.headers["x-ms-error-code"]
    assert "<Error><Code>" in late.text
    assert "commit" in late.text
    finished = client.finished(submission)
    # The link that a later GET gives does not allow writing either.
    assert client.upload(finished, b"another package").status_code == 403
    assert finished["workflowStatus"]["state"] == "completed", finished["workflowStatus"]
    stored = client.http.get(download_url(finished, "initialPackage"), headers={"Authorization": ""})
    assert stored.content == package.read_bytes()


def test_a_failed_product_stays_failed_and_a_new_one_takes_the_good_package(
    client: ApiClient, service: Served, tmp_path: Path
) -> None:
    failed = client.submit(b"no cabinet")
    assert client.commit(failed).status_code == 422
    second = client.http.post(
        f"/v2.0/my/hardware/products/{failed['productId']}/submissions", json={"name": "again", "type": "initial"}
    )
    assert second.json()["error"]["code"] == "requestInvalidForCurrentState"
    finished = client.submit(signed_cabinet(tmp_path, service.made.vendor))
    assert (finished["workflowStatus"]["currentStep"], finished["workflowStatus"]["state"]) == (
        "finalizeIngestion",
        "completed",
    )
    report = client.http.get(download_url(finished, "certificationReport"), headers={"Authorization": ""})
    assert "yara-x 1" in report.text
    assert " signatures, 2 files: nothing found" in report.text
