import io
import stat
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwdash.drivers.cab import CabinetLimits
from hwdash.drivers.container import PackageContainer
from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError
from hwdash.drivers.zip_package import PIECE, ZipPackage

TEXT = b"[Version]\r\n" * 40_000
STREAMED = 0x0008
UTF8 = 0x0800


@dataclass
class Entry:
    """A record as it is written, lies included: ``local`` and ``central`` replace fields of the two headers."""

    name: bytes = b"drv/a.inf"
    content: bytes = b"[Version]"
    method: int = 0
    flags: int = 0
    attributes: int = 0
    local: dict[str, Any] = field(default_factory=dict)
    central: dict[str, Any] = field(default_factory=dict)
    descriptor: bytes | None = None
    before: bytes = b""
    packed: bytes | None = None

    def __post_init__(self) -> None:
        if self.packed is None:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            self.packed = self.content if self.method == 0 else deflate.compress(self.content) + deflate.flush()
        self.plain: dict[str, Any] = {
            "flags": self.flags,
            "method": self.method,
            "crc": zlib.crc32(self.content),
            "packed_size": len(self.packed),
            "size": len(self.content),
            "name": self.name,
            "extra": b"",
            "comment": b"",
            "disk": 0,
        }

    @property
    def packed_bytes(self) -> bytes:
        assert self.packed is not None
        return self.packed


def written(*entries: Entry, after: bytes = b"", end: dict[str, Any] | None = None, tail: bytes = b"") -> bytes:
    out, directory = b"", b""
    for entry in entries:
        out += entry.before
        here = entry.plain | entry.local
        there = entry.plain | {"local": len(out)} | entry.central
        out += struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, here["flags"], here["method"], 0, 0, here["crc"], here["packed_size"],
            here["size"], len(here["name"]), len(here["extra"]),
        ) + here["name"] + here["extra"] + entry.packed_bytes + (entry.descriptor or b"")  # fmt: skip
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20, 20, there["flags"], there["method"], 0, 0, there["crc"],
            there["packed_size"], there["size"], len(there["name"]), len(there["extra"]), len(there["comment"]),
            there["disk"], 0, entry.attributes, there["local"],
        ) + there["name"] + there["extra"] + there["comment"]  # fmt: skip
    out += after
    fields = {"disk": 0, "here": len(entries), "count": len(entries), "size": len(directory), "at": len(out)} | (
        end or {}
    )
    out += directory + tail
    return out + struct.pack(
        "<4s4H2LH", b"PK\5\6", fields["disk"], 0, fields["here"], fields["count"], fields["size"], fields["at"], 0
    )


def opened(raw: bytes) -> ZipPackage:
    return ZipPackage.open(io.BytesIO(raw), source="x.zip")


def contents(raw: bytes) -> dict[str, bytes]:
    return {file.name: b"".join(pieces) for file, pieces in opened(raw).extract()}


# --- What is read


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_the_standard_library_writes_is_read(method: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.mkdir("drv")
        archive.writestr("drv/a.inf", TEXT)
        archive.writestr("drv/ü.sys", b"")
    assert contents(stream.getvalue()) == {"drv/a.inf": TEXT, "drv/ü.sys": b""}


def test_what_info_zip_writes_is_read(tmp_path: Path) -> None:
    (tmp_path / "drv").mkdir()
    (tmp_path / "drv" / "a.inf").write_bytes(TEXT)
    subprocess.run(["zip", "-q", "-r", "x.zip", "drv"], cwd=tmp_path, check=True)
    assert contents((tmp_path / "x.zip").read_bytes()) == {"drv/a.inf": TEXT}


def test_a_zip_file_written_to_a_pipe_is_read() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    stream = Pipe()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("drv/a.inf", TEXT)
    assert contents(stream.getvalue()) == {"drv/a.inf": TEXT}


@pytest.mark.parametrize("signature", [b"", b"PK\7\x08"])
@pytest.mark.parametrize("form", ["<LLL", "<LQQ"])
@pytest.mark.parametrize("central", [0, STREAMED])
def test_the_data_descriptors_of_every_writer_are_read(signature: bytes, form: str, central: int) -> None:
    """.NET's packaging writes the longest form, and in the directory it may leave the flag out."""
    crc = zlib.crc32(b"123")
    zeros: dict[str, Any] = {"crc": 0, "packed_size": 0, "size": 0}
    descriptor = signature + struct.pack(form, crc, 3, 3)
    entry = Entry(content=b"123", flags=STREAMED, local=zeros, central={"flags": central}, descriptor=descriptor)
    assert contents(written(entry, Entry(b"drv/b"))) == {"drv/a.inf": b"123", "drv/b": b"[Version]"}


def test_zip64_fields_of_small_files_are_read() -> None:
    room = struct.pack("<HHQQ", 1, 16, 9, 9)
    long: dict[str, Any] = {"size": 0xFFFFFFFF, "packed_size": 0xFFFFFFFF, "extra": room}
    for entry in (Entry(local=long), Entry(central=long), Entry(local={"extra": room}, central={"extra": room})):
        assert contents(written(entry)) == {"drv/a.inf": b"[Version]"}


def test_names_are_utf_8_when_they_say_so_and_code_page_437_otherwise() -> None:
    entries = Entry("gr\u00fc\u00dfe".encode(), flags=UTF8), Entry(b"gr\x81\xe1e2")
    assert list(contents(written(*entries))) == ["grüße", "grüße2"]


def test_files_come_in_the_order_of_their_content() -> None:
    raw = written(Entry(b"b"), Entry(b"a"))
    assert [file.name for file in opened(raw).files] == ["b", "a"]
    assert [file.start for file in opened(raw).files] == sorted(file.start for file in opened(raw).files)


def test_files_that_are_not_asked_for_may_be_left_out() -> None:
    package = opened(written(Entry(b"a", b"1"), Entry(b"b", b"2")))
    pieces = [pieces for _, pieces in package.extract()]
    assert b"".join(pieces[1]) == b"2"
    assert b"".join(pieces[0]) == b"1"


def test_memory_stays_flat() -> None:
    raw = written(Entry(content=bytes(40 << 20), method=8))
    package = opened(raw)
    tracemalloc.start()
    try:
        longest = max(len(piece) for _, pieces in package.extract() for piece in pieces)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert longest <= PIECE
    assert peak < 4 << 20


def test_a_zip_package_is_a_package_container() -> None:
    container: PackageContainer = opened(written(Entry()))
    assert [(file.name, file.size) for file in container.files] == [("drv/a.inf", 9)]


# --- What is refused


def field_of(raw: bytes) -> tuple[str, str]:
    with pytest.raises(ParseError) as caught:
        contents(raw)
    assert caught.value.source == "x.zip"
    assert caught.value.offset is not None
    assert caught.value.field is not None
    return caught.value.field, caught.value.message


DIFFERENT = {"size": 8, "packed_size": 8}
ONE = Entry()
REFUSED: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "not a zip file": (lambda: b"MSCF" + bytes(40), "signature", "does not begin with PK"),
    "nothing": (lambda: b"", "signature", "does not begin with PK"),
    "cut short": (lambda: written(ONE)[:-1], "end of central directory", "cut short"),
    "a comment": (
        lambda: written(ONE)[:-2] + b"\x05\0hello",
        "end of central directory",
        "a comment or other bytes follow",
    ),
    "bytes behind": (lambda: written(ONE) + bytes(30), "end of central directory", "other bytes follow"),
    "bytes before": (lambda: b"PKxx" + written(ONE), "end of central directory", "before or behind"),
    "bytes before, offsets right": (
        lambda: written(Entry(before=b"PKxx")),
        "relative offset of local header",
        "4 bytes before 'drv/a.inf' belong to no entry",
    ),
    "bytes between": (
        lambda: written(ONE, Entry(b"b", before=b"hidden")),
        "relative offset of local header",
        "6 bytes before 'b' belong to no entry",
    ),
    "bytes before the directory": (lambda: written(ONE, after=b"hidden"), "central directory", "6 bytes before"),
    "bytes behind the directory": (lambda: written(ONE, tail=b"x" * 8), "end of central directory", "behind it"),
    "shared content": (
        lambda: written(Entry(b"a"), Entry(b"b", central={"local": 0})),
        "relative offset of local header",
        "shares bytes",
    ),
    "quoted records": (
        lambda: written(
            Entry(b"a", central={"packed_size": 60, "size": 60}, local={"packed_size": 60, "size": 60}),
            Entry(b"b", b"1" * 60),
        ),
        "relative offset of local header",
        "'b' shares bytes",
    ),
    "another name in the local header": (
        lambda: written(Entry(local={"name": b"drv/b.inf"})),
        "file name",
        "local header does not",
    ),
    "another size in the local header": (lambda: written(Entry(local=DIFFERENT)), "local file header", "differs"),
    "another method in the local header": (lambda: written(Entry(local={"method": 8})), "local file header", "differs"),
    "another checksum in the local header": (lambda: written(Entry(local={"crc": 1})), "local file header", "differs"),
    "no local header": (lambda: written(ONE).replace(b"PK\3\4", b"PK\3\5"), "local file header", "no local header"),
    "a wrong data descriptor": (
        lambda: written(Entry(flags=STREAMED, descriptor=struct.pack("<LLL", 1, 9, 9)), Entry(b"b")),
        "data descriptor",
        "differs",
    ),
    "one name twice": (lambda: written(Entry(b"a"), Entry(b"a")), "file name", "'a' occurs twice"),
    "names that differ in case": (lambda: written(Entry(b"a/B"), Entry(b"A\\b")), "file name", "one name to Windows"),
    "a file and a folder of one name": (
        lambda: written(Entry(b"a"), Entry(b"a/", b"")),
        "file name",
        "one name to Windows",
    ),
    "an absolute name": (lambda: written(Entry(b"/etc/passwd")), "file name", "absolute"),
    "a network name": (lambda: written(Entry(b"\\\\host\\x")), "file name", "absolute"),
    "a drive": (lambda: written(Entry(b"C:x")), "file name", "colon"),
    "a way up": (lambda: written(Entry(b"a\\..\\..\\x")), "file name", "'..'"),
    "an empty component": (lambda: written(Entry(b"a//x")), "file name", "empty component"),
    "a NUL in a name": (lambda: written(Entry(b"a.inf\0.txt", flags=UTF8)), "file name", "cannot be printed"),
    "an empty name": (lambda: written(Entry(b"")), "file name length", "a name of 0 bytes"),
    "a long name": (lambda: written(Entry(b"a" * 2000)), "file name length", "a name of 2000 bytes"),
    "a name that is not UTF-8": (lambda: written(Entry(b"\xff", flags=UTF8)), "file name", "is not"),
    "a second name in an extra field": (
        lambda: written(Entry(central={"extra": struct.pack("<HHBL", 0x7075, 8, 1, 0) + b"b.x"})),
        "extra field 0x7075",
        "has another name",
    ),
    "a second name in a local extra field": (
        lambda: written(Entry(local={"extra": struct.pack("<HHBL", 0x7075, 8, 1, 0) + b"b.x"})),
        "extra field 0x7075",
        "has another name",
    ),
    "a broken extra field": (lambda: written(Entry(central={"extra": b"\1\0\xff\xff"})), "extra field", "longer than"),
    "a started extra field": (lambda: written(Entry(central={"extra": b"\1\2\3"})), "extra field", "in the middle"),
    "an extra field twice": (lambda: written(Entry(central={"extra": b"\1\0\0\0" * 2})), "extra field", "occurs twice"),
    "encryption": (lambda: written(Entry(flags=1)), "general purpose bit flag", "is encrypted"),
    "strong encryption": (lambda: written(Entry(flags=0x40)), "general purpose bit flag", "is encrypted"),
    "Deflate64": (lambda: written(Entry(packed=b"x", method=9)), "compression method", "Deflate64"),
    "an unknown method": (lambda: written(Entry(packed=b"x", method=77)), "compression method", "method 77"),
    "a symbolic link": (
        lambda: written(Entry(attributes=(stat.S_IFLNK | 0o777) << 16)),
        "external file attributes",
        "a symbolic link",
    ),
    "a device": (lambda: written(Entry(attributes=stat.S_IFBLK << 16)), "external file attributes", "not a plain file"),
    "a folder with content": (lambda: written(Entry(b"a/", b"x")), "uncompressed size", "has content"),
    "another disk": (lambda: written(Entry(central={"disk": 1})), "disk number", "another disk"),
    "several disks": (lambda: written(ONE, end={"disk": 1}), "end of central directory", "several disks"),
    "too many entries promised": (lambda: written(ONE, end={"count": 2, "here": 2}), "central directory", "truncated"),
    "too few entries promised": (
        lambda: written(ONE, ONE, end={"count": 1, "here": 1}),
        "central directory",
        "goes on",
    ),
    "a stored file of two sizes": (lambda: written(Entry(central={"size": 8})), "compressed size", "two sizes"),
    "content that reaches into the directory": (
        lambda: written(Entry(local={"packed_size": 99, "size": 99}, central={"packed_size": 99, "size": 99})),
        "compressed size",
        "reaches into the directory",
    ),
    "a wrong checksum": (
        lambda: written(Entry(local={"crc": 1}, central={"crc": 1})),
        "crc-32",
        "its checksum is wrong",
    ),
    "broken deflate data": (lambda: written(Entry(method=8, packed=b"\xff\xff")), "file data", "cannot be inflated"),
    "deflate data that is cut short": (
        lambda: written(Entry(method=8, packed=Entry(method=8, content=TEXT).packed_bytes[:-4], content=TEXT)),
        "file data",
        "is cut short",
    ),
    "bytes behind deflate data": (
        lambda: written(Entry(method=8, packed=Entry(method=8).packed_bytes + b"hidden")),
        "compressed size",
        "ends before",
    ),
    "more than declared": (
        lambda: written(Entry(method=8, content=TEXT, local={"size": 10}, central={"size": 10})),
        "uncompressed size",
        "the 10 bytes",
    ),
    "less than declared": (
        lambda: written(Entry(method=8, local={"size": 10}, central={"size": 10})),
        "uncompressed size",
        "the 10 bytes",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    make, field_name, message = REFUSED[name]
    found, told = field_of(make())
    assert found == field_name
    assert message in told


LONG = struct.pack("<HHQ", 1, 8, 5 << 30)
ZIP64 = [
    lambda: written(Entry(central={"local": 0xFFFFFFFF, "extra": LONG})),
    lambda: written(Entry(central={"size": 0xFFFFFFFF, "extra": LONG})),
    lambda: written(ONE)[:-22] + b"PK\6\7" + bytes(16) + written(ONE)[-22:],
]


@pytest.mark.parametrize("make", ZIP64)
def test_zip64_is_refused_with_the_documented_reason(make: Callable[[], bytes]) -> None:
    found, message = field_of(make())
    assert found == "zip64"
    assert "the Hardware dashboard refuses" in message


def test_a_size_without_its_zip64_field_is_refused() -> None:
    assert field_of(written(Entry(central={"size": 0xFFFFFFFF})))[0] == "extra field 0x0001"


def test_content_that_ends_early_while_it_is_read_is_noticed() -> None:
    raw = written(Entry(content=b"1" * 100_000))
    stream = io.BytesIO(raw)
    package = ZipPackage.open(stream, source="x.zip")
    stream.truncate(70_000)
    with pytest.raises(ParseError, match="is cut short"):
        list(next(package.extract())[1])


# --- Limits


def test_too_many_files_are_refused() -> None:
    package = opened(written(Entry(b"a"), Entry(b"b"), Entry(b"c")))
    package.check_limits(CabinetLimits(max_files=3))
    with pytest.raises(LimitExceeded, match="3 files, at most 2"):
        package.check_limits(CabinetLimits(max_files=2))


def test_too_much_content_is_refused_before_any_of_it_is_read() -> None:
    package = opened(written(Entry(b"a", b"12345"), Entry(b"b", b"67890")))
    package._stream.close()
    with pytest.raises(LimitExceeded, match="unpacks to 10 bytes"):
        package.check_limits(CabinetLimits(max_total_bytes=9))


def test_a_decompression_bomb_is_refused() -> None:
    package = opened(written(Entry(method=8, content=bytes(1 << 20))))
    with pytest.raises(LimitExceeded, match="a decompression bomb"):
        package.check_limits(CabinetLimits(ratio_applies_above=1 << 19))
    package.check_limits(CabinetLimits())


# --- Properties


@settings(deadline=2000, max_examples=300)
@given(st.data())
def test_every_changed_byte_is_noticed_or_changes_nothing_that_is_given_out(data: st.DataObject) -> None:
    raw = written(Entry(content=TEXT[:500], method=8), Entry(b"b", b"12345"))
    at = data.draw(st.integers(0, len(raw) - 1))
    changed = raw[:at] + bytes([data.draw(st.integers(0, 255))]) + raw[at + 1 :]
    try:
        found = contents(changed)
    except DriversError:
        return
    assert list(found.values()) == [TEXT[:500], b"12345"]


@settings(deadline=2000, max_examples=300)
@given(st.binary(max_size=400), st.booleans())
def test_arbitrary_bytes_raise_only_our_errors(raw: bytes, ended: bool) -> None:
    whole = b"PK\3\4" + raw + (b"PK\5\6" + raw[:16].ljust(16, b"\0") + b"\0\0" if ended else b"")
    with pytest.raises(DriversError):
        contents(whole)
