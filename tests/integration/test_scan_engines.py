"""Malware scanning with a real clamd and the real yara-x."""

import json
import marshal
import socket
import struct
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from clamd import EICAR, EICAR_SIGNATURE, MARKER, MARKER_SIGNATURE, running_clamd
from hwdash.drivers.errors import LimitExceeded
from hwdash.pipeline import scan_engines
from hwdash.pipeline.child import JSON, ChildFailed, ChildLimits, run_in_child
from hwdash.pipeline.scan_engines import (
    Detection,
    ScannerUnavailable,
    ScanReport,
    scan_with_clamd,
)
from hwdash.pipeline.yara_engine import count_rules, scan_with_yara


def rule_count(folder: Path | None) -> int:
    return count_rules({"rules": str(folder) if folder else None})


SMALL_LIMITS = {"StreamMaxLength": "2M", "MaxScanSize": "2M", "MaxFileSize": "1M"}


@pytest.fixture(scope="module", params=["unix", "tcp"])
def clamd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_clamd(tmp_path_factory.mktemp("clamd"), tcp=request.param == "tcp") as address:
        yield address


@pytest.fixture(scope="module", params=["unix", "tcp"])
def narrow_clamd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("clamd")
    with running_clamd(folder, settings=SMALL_LIMITS, tcp=request.param == "tcp") as address:
        yield address


class TestClamd:
    def test_clean_files_are_counted_and_the_engine_is_named(self, clamd: str):
        report = scan_with_clamd(clamd, [("a.inf", BytesIO(b"[Version]")), ("empty", BytesIO(b""))])
        assert (report.engine, report.scanned_files, report.scanned_bytes) == ("clamd", 2, 9)
        assert report.version.startswith("1.")
        assert report.detections == []
        assert report.signatures is None  # the protocol does not tell
        assert any("signatures" in note for note in report.notes)

    def test_each_detection_names_its_file_and_signature_and_the_scan_goes_on(self, clamd: str):
        report = scan_with_clamd(
            clamd, [("b/eicar.com", BytesIO(EICAR)), ("a.sys", BytesIO(b"MZ")), ("c.dll", BytesIO(b"MZ" + MARKER))]
        )
        assert report.scanned_files == 3
        assert report.detections == [
            Detection("b/eicar.com", EICAR_SIGNATURE),
            Detection("c.dll", MARKER_SIGNATURE),
        ]

    def test_a_file_is_streamed_in_pieces_and_searched_across_them(self, clamd: str):
        before = bytes(scan_engines._CHUNK - 10)
        report = scan_with_clamd(clamd, [("large.bin", BytesIO(before + MARKER + bytes(3_000_000)))])
        assert report.detections == [Detection("large.bin", MARKER_SIGNATURE)]
        assert report.scanned_bytes == len(before) + len(MARKER) + 3_000_000

    def test_a_file_that_clamd_does_not_look_into_as_a_whole_is_neither_clean_nor_malware(self, narrow_clamd: str):
        with pytest.raises(LimitExceeded, match=r"large\.bin: .*MaxFileSize in clamd\.conf"):
            scan_with_clamd(narrow_clamd, [("large.bin", BytesIO(bytes(1_500_000)))])

    @pytest.mark.parametrize("size", [2_500_000, 60_000_000])
    def test_a_stream_that_clamd_does_not_take_is_not_clean(self, narrow_clamd: str, size: int):
        with pytest.raises(LimitExceeded, match=r"large\.bin: .*StreamMaxLength in clamd\.conf"):
            scan_with_clamd(narrow_clamd, [("large.bin", BytesIO(bytes(size)))])

    def test_an_engine_that_does_not_know_the_test_file_gives_no_verdict(self, tmp_path: Path):
        with (
            running_clamd(tmp_path, signatures={"Hwdash.Test.Marker": MARKER}) as address,
            pytest.raises(ScannerUnavailable, match="does not recognise the EICAR test file"),
        ):
            scan_with_clamd(address, [("a.inf", BytesIO(b"[Version]"))])

    def test_an_error_in_reading_a_file_is_not_laid_to_clamd(self, clamd: str):
        class Torn(BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise OSError(5, "Input/output error")

        with pytest.raises(OSError, match="Input/output error"):
            scan_with_clamd(clamd, [("a.inf", Torn())])

    def test_streams_are_opened_one_after_the_other(self, clamd: str):
        opened: list[BytesIO] = []

        def files() -> Iterator[tuple[str, BinaryIO]]:
            for _ in range(3):
                for stream in opened:
                    stream.close()
                opened.append(BytesIO(b"x"))
                yield "x", opened[-1]

        assert scan_with_clamd(clamd, files()).scanned_files == 3


class TestNoClamd:
    def test_nobody_listens(self, tmp_path: Path):
        with pytest.raises(ScannerUnavailable, match=r"No such file or directory\. Is it running\?"):
            scan_with_clamd(f"unix:{tmp_path}/none", [])
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with pytest.raises(ScannerUnavailable, match=r"refused\. Is it running\?"):
            scan_with_clamd(f"tcp:127.0.0.1:{port}", [])

    def test_it_does_not_answer(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"tcp:127.0.0.1:{server.getsockname()[1]}"
            with pytest.raises(ScannerUnavailable, match=r"did not answer within 0\.2 seconds"):
                scan_with_clamd(address, [], timeout_seconds=0.2)

    @pytest.mark.parametrize(
        ("replies", "words"),
        [
            ([b""], "without a whole reply"),
            ([b"HTTP/1.1 400 Bad Request\r\n\r\n\0"], "is not clamd"),
            ([b"x" * 100_000], "does not end"),
            ([b"ClamAV 1.4.6\0", b"stream: O"], "without a whole reply"),
            ([b"ClamAV 1.4.6\0", b"stream: OK\0"], "does not recognise the EICAR test file"),
            (
                [b"ClamAV 1.4.6\0", b"stream: T FOUND\0", b"stream: Can't allocate memory ERROR\0"],
                "no verdict on a.inf",
            ),
            ([b"ClamAV 1.4.6\0", b"stream: T FOUND\0", b"stream: OKAY\0"], "no verdict on a.inf"),
            ([b"ClamAV 1.4.6\0", b"stream: T FOUND\0", b"\xff\xfe\0"], "no verdict on a.inf"),
        ],
    )
    def test_a_reply_of_another_form_is_no_verdict(self, replies: list[bytes], words: str):
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer() -> None:
                for reply in replies:
                    connection, _ = server.accept()
                    with connection, connection.makefile("rb") as received:
                        if received.read(9).startswith(b"zINSTREAM"):
                            received.read(1)
                            while size := int.from_bytes(received.read(4), "big"):
                                received.read(size)
                        connection.sendall(reply)

            thread = threading.Thread(target=answer)
            thread.start()
            with pytest.raises(ScannerUnavailable, match=words):
                scan_with_clamd(
                    f"tcp:127.0.0.1:{server.getsockname()[1]}", [("a.inf", BytesIO(b"x"))], timeout_seconds=20
                )
            thread.join()

    @pytest.mark.parametrize("address", ["", "/run/clamd", "unix:", "tcp:host", "tcp::1", "tcp:h:x", "tcp:h:70000"])
    def test_an_address_of_another_form_is_shown_the_right_ones(self, address: str):
        with pytest.raises(ValueError, match=r"unix:/path/of/the/socket or tcp:host:port"):
            scan_with_clamd(address, [])


def in_child(files: list[tuple[str, Path]], rules: Path | None = None, *, memory_mb: int = 1024) -> ScanReport:
    arguments: dict[str, JSON] = {
        "rules": str(rules) if rules else None,
        "files": [[name, str(path)] for name, path in files],
    }
    readable = [path for _, path in files] + ([rules] if rules else [])
    answer = run_in_child(
        "hwdash.pipeline.yara_engine:scan_files", arguments, readable=readable, limits=ChildLimits(memory_mb=memory_mb)
    )
    assert isinstance(answer, dict)
    return ScanReport.from_json(answer)


def stored(folder: Path, name: str, content: bytes) -> tuple[str, Path]:
    """A file of the package, kept under a name that tells nothing."""
    path = folder / f"blob-{len(list(folder.iterdir()))}"
    path.write_bytes(content)
    return name, path


def program(*, subsystem: int = 1, section: bytes = b".text") -> bytes:
    """A PE32+ program with one section and nothing in it; subsystem 1 is that of kernel drivers."""
    headers = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 64)
    headers += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x22)
    optional = struct.pack("<HBBIIIIIQII", 0x20B, 14, 0, 512, 0, 0, 0x1000, 0x1000, 0x140000000, 0x1000, 512)
    optional += struct.pack("<HHHHHHIIIIHHQQQQII", 10, 0, 0, 0, 10, 0, 0, 0x2000, 512, 0, subsystem, 0, *[0] * 5, 16)
    headers += optional.ljust(240, b"\0")
    headers += section.ljust(8, b"\0") + struct.pack("<IIIIIIHHI", 512, 0x1000, 512, 512, 0, 0, 0, 0, 0x60000020)
    return headers.ljust(1024, b"\0")


POWERSHELL = b"cmd /c powershell.exe -NoProfile %s -NonInteractive %s\r\n"
SCRIPT = b"-EncodedCommand " + b"SQBFAFgA" * 20


class TestYara:
    def test_clean_files_are_counted_with_engine_rules_and_version(self, tmp_path: Path):
        report = in_child([stored(tmp_path, "a.inf", b"[Version]"), stored(tmp_path, "empty", b"")])
        assert (report.engine, report.scanned_files, report.scanned_bytes) == ("yara-x", 2, 9)
        assert report.signatures == rule_count(None) >= 4
        assert ", rules " in report.version
        assert report.detections == []
        assert any("archive" in note for note in report.notes)

    @pytest.mark.parametrize(
        ("name", "content", "rule"),
        [
            ("eicar.com", EICAR, "hwdash.test_file:eicar_test_file"),
            ("deep/in.bin", bytes(5000) + EICAR + bytes(5000), "hwdash.test_file:eicar_test_file"),
            ("a\\READ.TXT", program(), "hwdash.driver_package:program_named_as_text"),
            ("a.sys", program(section=b"UPX0"), "hwdash.driver_package:packed_kernel_driver"),
            ("a.inf", POWERSHELL % (b"-w hidden", SCRIPT), "hwdash.driver_package:hidden_encoded_powershell"),
            ("a.cmd", POWERSHELL % (SCRIPT, b"-WindowStyle Hidden"), "hwdash.driver_package:hidden_encoded_powershell"),
        ],
    )
    def test_each_of_our_rules_finds_what_it_is_for(self, tmp_path: Path, name: str, content: bytes, rule: str):
        assert in_child([stored(tmp_path, name, content)]).detections == [Detection(name, rule)]

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("eicar.com", EICAR[:-1]),
            ("a.sys", program()),
            ("setup.exe", program(subsystem=2, section=b"UPX0")),
            ("a.txt", b"MZ is how a program begins"),
            ("a.inf", POWERSHELL % (b"-w hidden", b"-File a.ps1")),
            ("a.cmd", POWERSHELL % (b"", SCRIPT)),
        ],
    )
    def test_what_only_resembles_it_is_not_found(self, tmp_path: Path, name: str, content: bytes):
        assert in_child([stored(tmp_path, name, content)]).detections == []

    def test_a_sample_inf_corpus_stays_clean(self, tmp_path: Path):
        inf = b"[Version]\r\nSignature=$WINDOWS NT$\r\n[Install]\r\nAddReg=a\r\n" * 1000
        assert in_child([stored(tmp_path, f"{n}.inf", inf) for n in range(50)]).detections == []

    def test_an_operators_rules_are_added_and_may_use_the_names_of_the_file(self, tmp_path: Path):
        rules = tmp_path / "rules"
        rules.mkdir()
        (rules / "local.yar").write_text(
            'rule eicar_test_file { condition: filename == "b.sys" and filepath contains "/" and extension == ".sys" }'
        )
        (rules / "more.yara").write_text('rule marker { strings: $a = "hwdash made-up" condition: $a }')
        (rules / "README.md").write_text("no rules in here")
        (tmp_path / "files").mkdir()
        files = [
            stored(tmp_path / "files", "sub/b.sys", b"x"),
            stored(tmp_path / "files", "b.sys", b"x"),
            stored(tmp_path / "files", "m", MARKER),
        ]
        report = in_child(files, rules)
        assert report.detections == [
            Detection("sub/b.sys", "local.local:eicar_test_file"),
            Detection("m", "local.more:marker"),
        ]
        assert report.signatures == rule_count(None) + 2
        assert report.version != in_child(files).version

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("rule a {\n strings:\n  $a = nonsense\n condition: $a }", r"broken\.yar:3:8"),
            ("rule a {\n condition: no.such }", r"broken\.yar:2:13"),
            ('include "other.yar"', r"includes are disabled"),
        ],
    )
    def test_rules_that_do_not_compile_are_named_with_file_and_line(self, tmp_path: Path, text: str, words: str):
        (tmp_path / "broken.yar").write_text(text)
        with pytest.raises(ScannerUnavailable, match=words):
            rule_count(tmp_path)
        with pytest.raises(ChildFailed, match=words) as caught:
            in_child([], tmp_path)
        assert caught.value.kind == "ScannerUnavailable"

    def test_rules_that_are_no_text_are_named(self, tmp_path: Path):
        (tmp_path / "broken.yar").write_bytes(b"\xff\xfe")
        with pytest.raises(ScannerUnavailable, match=r"broken\.yar"):
            rule_count(tmp_path)

    @pytest.mark.parametrize("make", [True, False])
    def test_a_folder_without_rules_is_a_mistake_not_an_empty_set(self, tmp_path: Path, make: bool):
        folder = tmp_path / "rules"
        if make:
            folder.mkdir()
        with pytest.raises(ScannerUnavailable, match="no rules"):
            rule_count(folder)

    def test_a_file_that_vanished_is_no_clean_file(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError):
            scan_with_yara(None, [("a", tmp_path / "missing")])

    def test_a_large_file_is_mapped_and_takes_no_memory_of_its_own(self, tmp_path: Path):
        large = tmp_path / "large.bin"
        with large.open("wb") as file:
            file.truncate(200 << 20)
            file.seek(150 << 20)
            file.write(EICAR)
        report = in_child([("large.bin", large)], memory_mb=500)
        assert report.detections == [Detection("large.bin", "hwdash.test_file:eicar_test_file")]

    def test_a_file_without_room_exceeds_the_limit(self, tmp_path: Path):
        large = tmp_path / "large.bin"
        with large.open("wb") as file:
            file.truncate(400 << 20)
        with pytest.raises(LimitExceeded, match="needs more than 500 MB of memory"):
            in_child([("large.bin", large)], memory_mb=500)


def test_a_report_survives_json():
    report = ScanReport("clamd", "1.4.6/27800", None, 2, 30, [Detection("a", "S")], ["A note."])
    assert ScanReport.from_json(json.loads(json.dumps(report.to_json()))) == report


OUR_FILES = [*Path(scan_engines.__file__).parent.rglob("*.py"), Path(__file__), Path(__file__).parents[1] / "clamd.py"]
RULE_FILES = list(Path(scan_engines.__file__).parent.rglob("*.yar"))


@pytest.mark.parametrize("path", OUR_FILES + RULE_FILES, ids=lambda path: path.name)
def test_no_file_of_ours_contains_the_test_file(path: Path):
    assert EICAR not in path.read_bytes()


@pytest.mark.parametrize("path", OUR_FILES, ids=lambda path: path.name)
def test_no_compiled_file_of_ours_contains_the_test_file(path: Path):
    assert EICAR not in marshal.dumps(compile(path.read_bytes(), path.name, "exec"))
