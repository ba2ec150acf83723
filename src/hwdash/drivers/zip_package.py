"""Zip files from strangers, read strictly and in flat memory.

Format: PKWARE's APPNOTE.TXT. The standard library's ``zipfile`` reads whatever it can make sense of, and two readers
that make different sense of one file are the weakness of this format. Here a zip file is one thing only, and anything
else is refused:

- local records follow each other from byte 0 to the central directory, without gaps and overlaps, one for each entry
  of the directory and saying the same; nothing stands before, between or behind;
- names are given once, differ in more than case, are relative, and have no ``..``;
- entries are plain files or folders, stored or deflated, not encrypted, on one disk;
- nothing needs Zip64, the form for 4 GB and more: Microsoft's service refuses it (facts/inf/package_rules.yaml). The
  Zip64 fields that .NET's packaging leaves in small files are read.

What is inflated is checked against the declared size and CRC.
"""

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from hwdash.drivers.cab import CabinetLimits
from hwdash.drivers.errors import LimitExceeded, ParseError

MAX_NAME: Final = 1024
"""Bytes of one name."""
PIECE: Final = 1 << 18
"""Bytes: the longest piece that ``extract`` gives."""

_END: Final = struct.Struct("<4s4H2LH")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_ZIP64_LOCATOR: Final = b"PK\x06\x07"
_DESCRIPTOR: Final = b"PK\x07\x08"
_HAS_DESCRIPTOR: Final = 0x0008
_NAME_IS_UTF8: Final = 0x0800
_ENCRYPTED: Final = 0x0001 | 0x0040 | 0x2000  # traditional, strong, and masked headers
_DECISIVE: Final = _ENCRYPTED | _NAME_IS_UTF8  # .NET sets the bit for descriptors in local headers alone
_METHODS: Final = {0: "store", 8: "deflate"}
_REFUSED_METHODS: Final = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES"}
_MAX_32: Final = 0xFFFFFFFF
_EXTRA_ZIP64: Final = 0x0001
_EXTRA_UNICODE_PATH: Final = 0x7075
_READ: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class ZipPackageFile:
    """One file of a zip package. ``start`` is the offset of its ``packed_size`` packed bytes."""

    name: str
    size: int
    packed_size: int
    method: int
    crc: int
    start: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """A central directory record; ``at`` is its own offset, ``local`` that of its local record."""

    at: int
    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed_size: int
    size: int
    local: int


class ZipPackage:
    """A zip file whose directory was read and found to agree with its local records."""

    def __init__(self, stream: BinaryIO, *, source: str, file_size: int, files: tuple[ZipPackageFile, ...]) -> None:
        self.source = source
        self.file_size = file_size
        self.files = files
        """In the order of their content; folders are left out."""
        self._stream = stream

    @classmethod
    def open(cls, stream: BinaryIO, *, source: str) -> "ZipPackage":
        """Read the directory and every local header of the zip file that ``stream`` (seekable) is from end to end.

        ParseError when anything is wrong: see the module. No content is read.
        """
        reader = _Reader(stream, source)
        entries = sorted(reader.directory(), key=lambda entry: entry.local)
        files: list[ZipPackageFile] = []
        position = 0
        for entry in entries:
            if entry.local != position:
                raise reader.misplaced(entry, position)
            start, position = reader.local(entry)
            if not entry.name.endswith("/"):
                files.append(ZipPackageFile(entry.name, entry.size, entry.packed_size, entry.method, entry.crc, start))
        if position != reader.directory_at:
            gap = reader.directory_at - position
            message = f"{gap} bytes before the directory belong to no entry"
            raise ParseError(message, source=source, offset=position, field="central directory")
        return cls(stream, source=source, file_size=reader.file_size, files=tuple(files))

    def check_limits(self, limits: CabinetLimits) -> None:
        """LimitExceeded when unpacking would cost more than ``limits``; judged by the headers, nothing is unpacked."""
        if len(self.files) > limits.max_files:
            raise LimitExceeded(f"{len(self.files)} files, at most {limits.max_files} are allowed", source=self.source)
        total = sum(file.size for file in self.files)
        if total > limits.max_total_bytes:
            raise LimitExceeded(
                f"unpacks to {total} bytes, at most {limits.max_total_bytes} are allowed", source=self.source
            )
        if total > limits.ratio_applies_above and total > limits.max_ratio * self.file_size:
            message = f"{self.file_size} bytes unpack to {total}, more than {limits.max_ratio} times as much"
            raise LimitExceeded(f"{message}: a decompression bomb", source=self.source)

    def extract(self) -> Iterator[tuple[ZipPackageFile, Iterator[bytes]]]:
        """Every file with its content in pieces of at most 256 KiB, in the order of the content; memory stays flat.

        Size and CRC are verified when a file's last piece has been given; what is not asked for is not read.
        ParseError when content is damaged. Call ``check_limits`` first.
        """
        for file in self.files:
            yield file, self.pieces(file)

    def pieces(self, file: ZipPackageFile) -> Iterator[bytes]:
        """The content of one of ``files``, as ``extract`` gives it."""
        crc = length = 0
        for piece in self._stored(file) if file.method == 0 else self._inflated(file):
            crc = zlib.crc32(piece, crc)
            length += len(piece)
            if length > file.size:
                break
            yield piece
        if length != file.size:
            raise self._damaged(file, f"does not hold the {file.size} bytes that it declares", "uncompressed size")
        if crc != file.crc:
            raise self._damaged(file, "was changed: its checksum is wrong", "crc-32")

    def _packed(self, file: ZipPackageFile) -> Iterator[bytes]:
        at, end = file.start, file.start + file.packed_size
        while at < end:
            # The stream is shared: others may have moved it since the last piece.
            self._stream.seek(at)
            packed = self._stream.read(min(_READ, end - at))
            if not packed:
                raise self._damaged(file, "is cut short", "compressed size")
            at += len(packed)
            yield packed

    def _stored(self, file: ZipPackageFile) -> Iterator[bytes]:
        return self._packed(file)

    def _inflated(self, file: ZipPackageFile) -> Iterator[bytes]:
        inflate = zlib.decompressobj(-15)
        left = file.packed_size
        try:
            for packed in self._packed(file):
                left -= len(packed)
                rest = packed
                while rest and not inflate.eof:
                    if piece := inflate.decompress(rest, PIECE):
                        yield piece
                    rest = inflate.unconsumed_tail
                if inflate.eof and (left or inflate.unused_data):
                    raise self._damaged(file, "ends before its compressed bytes do", "compressed size")
            while not inflate.eof and (piece := inflate.decompress(b"", PIECE)):
                yield piece
        except zlib.error as error:
            raise self._damaged(file, f"cannot be inflated ({error})", "file data") from None
        if not inflate.eof:
            raise self._damaged(file, "is cut short", "file data")

    def _damaged(self, file: ZipPackageFile, message: str, field: str) -> ParseError:
        return ParseError(f"{file.name!r} {message}", source=self.source, offset=file.start, field=field)


class _Reader:
    """Checked reads of the end record, the directory and the local headers."""

    def __init__(self, stream: BinaryIO, source: str) -> None:
        self._stream = stream
        self._source = source
        self.file_size = stream.seek(0, 2)
        self._end_at = self.file_size - _END.size
        self.count, self.directory_at = self._end()

    def error(self, message: str, at: int, field: str) -> ParseError:
        return ParseError(message, source=self._source, offset=max(at, 0), field=field)

    def _take(self, at: int, size: int, end: int, field: str) -> bytes:
        taken = b""
        if 0 <= at <= end - size:
            self._stream.seek(at)
            taken = self._stream.read(size)
        if len(taken) != size:
            raise self.error("the zip file is truncated or its directory points elsewhere", at, field)
        return taken

    def _end(self) -> tuple[int, int]:
        """How many entries the directory has, and where it begins."""
        field = "end of central directory"
        if self._end_at < 0 or self._take(0, 2, self.file_size, field) != b"PK":
            raise self.error("not a zip file: it does not begin with PK", 0, "signature")
        record = self._take(self._end_at, _END.size, self.file_size, field)
        signature, disk, first_disk, here, count, size, offset, comment = _END.unpack(record)
        if signature != b"PK\x05\x06" or comment:
            message = (
                "the last 22 bytes are not the end record: the file is cut short, or a comment or other bytes follow"
            )
            raise self.error(message, self._end_at, field)
        if self._end_at >= 20 and self._take(self._end_at - 20, 4, self.file_size, field) == _ZIP64_LOCATOR:
            raise self.zip64(self._end_at - 20)
        if (disk, first_disk) != (0, 0) or here != count:
            raise self.error("part of a zip file that spans several disks: send it whole", self._end_at, field)
        if offset + size != self._end_at:
            message = f"the directory should end at byte {offset + size}, where the end record does not begin"
            raise self.error(f"{message}: bytes were put before or behind it", self._end_at, field)
        return count, offset

    def zip64(self, at: int) -> ParseError:
        message = "uses Zip64, the form for more than 4 GB, which the Hardware dashboard refuses: make it smaller"
        return self.error(message, at, "zip64")

    def directory(self) -> Iterator[_Entry]:
        """Every record of the central directory."""
        at = self.directory_at
        seen: dict[str, str] = {}
        for _ in range(self.count):
            entry, at = self._central(at)
            key = _same_on_windows(entry.name)
            if (first := seen.get(key)) is not None:
                message = f"the name {entry.name!r} occurs twice"
                if first != entry.name:
                    message = f"the names {first!r} and {entry.name!r} are one name to Windows"
                raise self.error(message, entry.at, "file name")
            seen[key] = entry.name
            yield entry
        if at != self._end_at:
            raise self.error(f"the directory goes on after its {self.count} entries", at, "central directory")

    def _central(self, at: int) -> tuple[_Entry, int]:
        field = "central directory"
        (
            signature, _, _, flags, method, _, _, crc, packed_size, size,
            name_size, extra_size, comment_size, disk, _, attributes, local,
        ) = _CENTRAL.unpack(self._take(at, _CENTRAL.size, self._end_at, field))  # fmt: skip
        if signature != b"PK\x01\x02":
            raise self.error("not a central directory record", at, field)
        if not 0 < name_size <= MAX_NAME:
            raise self.error(f"a name of {name_size} bytes: 1 to {MAX_NAME} are allowed", at + 28, "file name length")
        variable = self._take(at + _CENTRAL.size, name_size + extra_size + comment_size, self._end_at, field)
        raw_name = variable[:name_size]
        name = self._name(raw_name, flags, at + _CENTRAL.size)
        extra_at = at + _CENTRAL.size + name_size
        extras = self._extras(variable[name_size : name_size + extra_size], extra_at)
        self._check_unicode_path(extras, name, extra_at)
        size, packed_size, local = self._short(extras, [size, packed_size, local], extra_at)
        entry = _Entry(at, raw_name, name, flags, method, crc, packed_size, size, local)
        self._check_kind(entry, disk, attributes)
        return entry, extra_at + extra_size + comment_size

    def _name(self, raw: bytes, flags: int, at: int) -> str:
        try:
            name = raw.decode("utf-8" if flags & _NAME_IS_UTF8 else "cp437")
        except UnicodeDecodeError:
            raise self.error("the name is marked as UTF-8 and is not", at, "file name") from None
        if (reason := _hostile_name(name)) is not None:
            raise self.error(f"the name {name!r} cannot be used: {reason}", at, "file name")
        return name

    def _extras(self, raw: bytes, at: int) -> dict[int, bytes]:
        """Extra fields by id. Bytes that are no field are padding, as .NET and zipalign write, and must be zeros."""
        found: dict[int, bytes] = {}
        while len(raw) >= 4:
            kind, size = struct.unpack_from("<HH", raw)
            if size > len(raw) - 4:
                raise self.error("an extra field is longer than the room for it", at, "extra field")
            if kind in (_EXTRA_ZIP64, _EXTRA_UNICODE_PATH) and kind in found:
                raise self.error(f"the extra field {kind:#06x} occurs twice", at, "extra field")
            found[kind] = raw[4 : 4 + size]
            raw = raw[4 + size :]
        if any(raw):
            raise self.error("the extra fields end in the middle of one", at, "extra field")
        return found

    def _short(self, extras: dict[int, bytes], told: list[int], at: int) -> list[int]:
        """Numbers of a header, those that it leaves to the Zip64 field taken from there: it may be used, if in vain."""
        room = extras.get(_EXTRA_ZIP64, b"")
        for number, value in enumerate(told):
            if value == _MAX_32:
                if len(room) < 8:
                    raise self.error("a size stands in a Zip64 field that is not there", at, "extra field 0x0001")
                told[number], room = int.from_bytes(room[:8], "little"), room[8:]
                if told[number] >= _MAX_32:
                    raise self.zip64(at)
        return told

    def _check_unicode_path(self, extras: dict[int, bytes], name: str, at: int) -> None:
        """The Info-ZIP field 0x7075 (version, CRC of the plain name, UTF-8 name) may only repeat the name."""
        other = extras.get(_EXTRA_UNICODE_PATH)
        if other is not None and other[5:] != name.encode():
            message = f"the entry {name!r} has another name in an extra field: store names once, in UTF-8"
            raise self.error(message, at, "extra field 0x7075")

    def _check_kind(self, entry: _Entry, disk: int, attributes: int) -> None:
        if entry.flags & _ENCRYPTED:
            raise self.error(f"{entry.name!r} is encrypted: store it in plain", entry.at, "general purpose bit flag")
        if entry.method not in _METHODS:
            method = _REFUSED_METHODS.get(entry.method, f"method {entry.method}")
            message = f"{entry.name!r} is compressed by {method}: only store and deflate are read"
            raise self.error(message, entry.at + 10, "compression method")
        if disk:
            raise self.error(f"{entry.name!r} is on another disk: send the zip file whole", entry.at, "disk number")
        if entry.method == 0 and entry.size != entry.packed_size:
            raise self.error(f"{entry.name!r} is stored and has two sizes", entry.at + 20, "compressed size")
        folder = entry.name.endswith("/")
        # The upper half holds a POSIX mode where a system with such modes wrote the entry, else zeros. Folders are not
        # given out, and some writers give them strange modes.
        kind = stat.S_IFMT(attributes >> 16)
        if kind not in (0, stat.S_IFREG) and not folder:
            what = "a symbolic link" if kind == stat.S_IFLNK else "not a plain file"
            raise self.error(f"{entry.name!r} is {what}", entry.at + 38, "external file attributes")
        if folder and entry.size:
            raise self.error(f"the folder {entry.name!r} has content", entry.at + 24, "uncompressed size")

    def misplaced(self, entry: _Entry, position: int) -> ParseError:
        """The error for an entry that does not begin where the one before it ends."""
        if entry.local < position:
            message = f"{entry.name!r} shares bytes with the entry before it"
        else:
            message = f"{entry.local - position} bytes before {entry.name!r} belong to no entry"
        return self.error(message, entry.local, "relative offset of local header")

    def local(self, entry: _Entry) -> tuple[int, int]:
        """Compare the local record with the directory; where its content begins, and where the record ends."""
        field = "local file header"
        (
            signature, _, flags, method, _, _, crc, packed_size, size, name_size, extra_size,
        ) = _LOCAL.unpack(self._take(entry.local, _LOCAL.size, self.directory_at, field))  # fmt: skip
        if signature != b"PK\x03\x04":
            raise self.error(f"no local header of {entry.name!r} here", entry.local, field)
        variable = self._take(entry.local + _LOCAL.size, name_size + extra_size, self.directory_at, field)
        if variable[:name_size] != entry.raw_name:
            message = f"the directory calls it {entry.name!r}, the local header does not"
            raise self.error(message, entry.local + _LOCAL.size, "file name")
        extras = self._extras(variable[name_size:], entry.local + _LOCAL.size + name_size)
        self._check_unicode_path(extras, entry.name, entry.local + _LOCAL.size + name_size)
        told = [*self._short(extras, [size, packed_size], entry.local + _LOCAL.size + name_size), crc]
        expected = [entry.size, entry.packed_size, entry.crc]
        streamed = flags & _HAS_DESCRIPTOR
        as_expected = all(one == other or (streamed and not one) for one, other in zip(told, expected, strict=True))
        if method != entry.method or (flags ^ entry.flags) & _DECISIVE or not as_expected:
            raise self.error(f"the local header of {entry.name!r} differs from the directory", entry.local, field)
        start = entry.local + _LOCAL.size + len(variable)
        end = start + entry.packed_size
        if end > self.directory_at:
            raise self.error(f"{entry.name!r} reaches into the directory", start, "compressed size")
        return start, self._after_descriptor(entry, end) if streamed else end

    def _after_descriptor(self, entry: _Entry, at: int) -> int:
        """Where the data descriptor at ``at`` ends: it has a signature or not, and sizes of four or of eight bytes."""
        short = struct.pack("<LLL", entry.crc, entry.packed_size, entry.size)
        long = struct.pack("<LQQ", entry.crc, entry.packed_size, entry.size)
        self._stream.seek(at)
        there = self._stream.read(min(len(_DESCRIPTOR + long), self.directory_at - at))
        for form in (_DESCRIPTOR + long, _DESCRIPTOR + short, long, short):
            if there.startswith(form):
                return at + len(form)
        raise self.error(f"the data descriptor of {entry.name!r} differs from the directory", at, "data descriptor")


def _hostile_name(name: str) -> str | None:
    """Why no reader should see this name; what only Windows minds is found in drivers/package.py."""
    parts = name.removesuffix("/").replace("\\", "/").split("/")
    if not name.isprintable():
        return "it has a character that cannot be printed"
    if not parts[0]:
        return "it is an absolute or network path"
    if ":" in name:
        return "it has a colon: a drive letter or an alternate data stream"
    if bad := next((part for part in parts if part in ("", ".", "..")), None):
        return f"it has the component {bad!r}"
    return "it has an empty component" if "" in parts else None


def _same_on_windows(name: str) -> str:
    return name.removesuffix("/").replace("\\", "/").casefold()
