"""Cabinet files: reading untrusted ones in flat memory, and writing.

Format: [MS-CAB] and, for MSZIP, [MS-MCI] of Microsoft's open specifications; what real readers and writers do is in
facts/package-formats.md. One cabinet stands alone here: sets that span several files are refused. Store and MSZIP are
read; LZX and Quantum are refused by name.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from hwdash.drivers.cab_format import (
    BLOCK,
    BLOCK_SIZE,
    FILE,
    FLAG_NEXT,
    FLAG_PREVIOUS,
    FLAG_RESERVE,
    FOLDER,
    HEADER,
    NAME_IS_UTF8,
    NAME_LIMIT,
    SIGNATURE_RESERVE,
    block_checksum,
)
from hwdash.drivers.cab_writer import write_cabinet
from hwdash.drivers.errors import LimitExceeded, ParseError

__all__ = [
    "Cabinet",
    "CabinetFile",
    "CabinetFolder",
    "CabinetLimits",
    "SignatureRange",
    "write_cabinet",
]

_METHODS: Final = {2: "Quantum", 3: "LZX"}


@dataclass(frozen=True, slots=True)
class CabinetFile:
    """One CFFILE. ``offset`` counts from the folder's plain start; ``name`` is as stored (see drivers/package.py)."""

    name: str
    size: int
    folder: int
    offset: int
    attributes: int


@dataclass(frozen=True, slots=True)
class CabinetFolder:
    """One CFFOLDER: ``blocks`` CFDATA blocks from byte ``start`` of the cabinet, packed by ``method``."""

    start: int
    blocks: int
    method: int


@dataclass(frozen=True, slots=True)
class SignatureRange:
    """Where the header says the Authenticode signature stands; not yet checked against the file."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class CabinetLimits:
    """What a cabinet may cost its reader.

    ``max_ratio`` counts plain bytes per cabinet byte and applies once the plain bytes pass ``ratio_applies_above``.
    Deflate reaches 1000:1 on zeros alone; drivers, firmware and symbols included, stay below 20:1, so 200:1 refuses
    bombs and nothing else.
    """

    max_files: int = 65_535
    max_total_bytes: int = 4 << 30
    max_ratio: int = 200
    ratio_applies_above: int = 64 << 20


class Cabinet:
    """A parsed cabinet header: files and folders. ``extract`` reads the content from the same stream."""

    def __init__(
        self,
        stream: BinaryIO,
        *,
        source: str,
        declared_size: int,
        file_size: int,
        files: tuple[CabinetFile, ...],
        folders: tuple[CabinetFolder, ...],
        reserves: tuple[int, int, int] | None,
        signature: SignatureRange | None,
    ) -> None:
        self.source = source
        self.declared_size = declared_size
        self.file_size = file_size
        self.files = files
        self.folders = folders
        self.reserves = reserves
        """Bytes reserved in the header, in each folder and in each block; None without the reserve flag."""
        self.signature = signature
        self._stream = stream

    @classmethod
    def open(cls, stream: BinaryIO, *, source: str) -> "Cabinet":
        """Parse the headers of the cabinet that starts at byte 0 of ``stream`` (seekable).

        ParseError when a field is wrong, when the file is shorter than it says, or when the cabinet is part of a set.
        """
        file_size = stream.seek(0, 2)
        stream.seek(0)
        if stream.read(4) != b"MSCF":
            raise ParseError("not a cabinet: it does not begin with MSCF", source=source, offset=0, field="signature")
        reader = _Headers(stream, source, file_size)
        _, _, size, _, files_at, _, minor, major, folder_count, file_count, flags, _, _ = HEADER.unpack(
            reader.take(HEADER.size, "CFHEADER")
        )
        if (major, minor) != (1, 3):
            raise ParseError(f"version {major}.{minor}, expected 1.3", source=source, offset=24, field="version")
        if flags & (FLAG_PREVIOUS | FLAG_NEXT):
            raise ParseError(
                "part of a set of cabinets: send one cabinet that holds all", source=source, offset=30, field="flags"
            )
        if not HEADER.size <= size <= file_size:
            raise ParseError(
                f"declares {size} bytes, the file has {file_size}", source=source, offset=8, field="cbCabinet"
            )
        reader.end = size
        reserves = None
        signature = None
        if flags & FLAG_RESERVE:
            reserves = struct.unpack("<HBB", reader.take(4, "cbCFHeader"))
            area = reader.take(reserves[0], "abReserve")
            if reserves[0] == SIGNATURE_RESERVE:
                offset, length = struct.unpack_from("<II", area, 4)
                signature = SignatureRange(offset, length) if offset or length else None
        folder_reserve = reserves[1] if reserves else 0
        folders = tuple(reader.folders(folder_count, folder_reserve))
        if file_count and files_at < reader.at:
            raise ParseError("the file table lies inside the header", source=source, offset=16, field="coffFiles")
        reader.at = files_at
        return cls(
            stream,
            source=source,
            declared_size=size,
            file_size=file_size,
            files=tuple(reader.files(file_count, folders)),
            folders=folders,
            reserves=reserves,
            signature=signature,
        )

    def check_limits(self, limits: CabinetLimits) -> None:
        """LimitExceeded when unpacking would cost more than ``limits``; judged by the headers, nothing is unpacked."""
        if len(self.files) > limits.max_files:
            raise LimitExceeded(f"{len(self.files)} files, at most {limits.max_files} are allowed", source=self.source)
        # What is written (files may share content) and what must be inflated to reach it (content may belong to no
        # file).
        written = sum(file.size for file in self.files)
        reach: dict[int, int] = {}
        for file in self.files:
            reach[file.folder] = max(reach.get(file.folder, 0), file.offset + file.size)
        total = max(written, sum(reach.values()))
        if total > limits.max_total_bytes:
            raise LimitExceeded(
                f"unpacks to {total} bytes, at most {limits.max_total_bytes} are allowed", source=self.source
            )
        if total > limits.ratio_applies_above and total > limits.max_ratio * self.declared_size:
            message = f"{self.declared_size} bytes unpack to {total}, more than {limits.max_ratio} times as much"
            raise LimitExceeded(f"{message}: a decompression bomb", source=self.source)

    def extract(self) -> Iterator[tuple[CabinetFile, Iterator[bytes]]]:
        """Every file with its content in pieces of at most 32 KiB, by folder and offset; memory stays flat.

        An iterator of pieces is good until the next file is asked for; what it was not asked for is skipped. Block
        checksums are verified where the writer set them. ParseError when a block or a method is wrong. Call
        ``check_limits`` first.
        """
        by_folder: dict[int, list[CabinetFile]] = {}
        for file in self.files:
            by_folder.setdefault(file.folder, []).append(file)
        for index in sorted(by_folder):
            content = _FolderContent(self, self._stream, self.folders[index])
            files = sorted(by_folder[index], key=lambda file: (file.offset, file.size))
            for file, following in zip(files, [*files[1:], None], strict=True):
                yield file, content.pieces(file, following.offset if following else 0)


class _Headers:
    """Checked reads over the part of the cabinet before the data."""

    def __init__(self, stream: BinaryIO, source: str, end: int) -> None:
        self._stream = stream
        self._source = source
        self.at = 0
        self.end = end

    def take(self, size: int, field: str) -> bytes:
        taken = b""
        if size <= self.end - self.at:
            self._stream.seek(self.at)
            taken = self._stream.read(size)
        if len(taken) != size:
            raise ParseError("the cabinet is truncated", source=self._source, offset=self.at, field=field)
        self.at += size
        return taken

    def folders(self, count: int, reserve: int) -> Iterator[CabinetFolder]:
        width = FOLDER.size + reserve
        table_at = self.at
        table = self.take(count * width, "CFFOLDER")
        for index in range(count):
            start, blocks, method = FOLDER.unpack_from(table, index * width)
            if blocks and not self.at <= start < self.end:
                at = table_at + index * width
                raise ParseError(
                    "the folder's data lies outside the cabinet", source=self._source, offset=at, field="coffCabStart"
                )
            yield CabinetFolder(start, blocks, method)

    def files(self, count: int, folders: tuple[CabinetFolder, ...]) -> Iterator[CabinetFile]:
        table_at = self.at
        available = min(count * (FILE.size + NAME_LIMIT), max(self.end - self.at, 0))
        table = self.take(available, "CFFILE")
        at = 0
        for _ in range(count):
            where = table_at + at
            end = table.find(b"\0", at + FILE.size, at + FILE.size + NAME_LIMIT)
            if end < 0:
                raise ParseError(
                    "the file entry is truncated or its name too long",
                    source=self._source,
                    offset=where,
                    field="CFFILE",
                )
            size, offset, folder, _, _, attributes = FILE.unpack_from(table, at)
            raw = table[at + FILE.size : end]
            at = end + 1
            if folder >= 0xFFFD:
                message = "the file continues in another cabinet: send one cabinet that holds all"
                raise ParseError(message, source=self._source, offset=where + 8, field="iFolder")
            if folder >= len(folders):
                message = f"names folder {folder} of {len(folders)}"
                raise ParseError(message, source=self._source, offset=where + 8, field="iFolder")
            if offset + size > folders[folder].blocks * BLOCK_SIZE:
                message = (
                    f"the file ends at byte {offset + size} of a folder of {folders[folder].blocks} blocks of 32 KiB"
                )
                raise ParseError(message, source=self._source, offset=where, field="cbFile")
            yield CabinetFile(self._name(raw, attributes, where + FILE.size), size, folder, offset, attributes)

    def _name(self, raw: bytes, attributes: int, where: int) -> str:
        if attributes & NAME_IS_UTF8:
            try:
                return raw.decode("utf-8")
            except UnicodeDecodeError:
                raise ParseError("the name is not UTF-8", source=self._source, offset=where, field="szName") from None
        try:
            return raw.decode("cp1252")
        except UnicodeDecodeError:
            return raw.decode("latin-1")


@dataclass(frozen=True, slots=True)
class _Position:
    """The state before one block: all that is needed to unpack it again."""

    index: int
    at: int  # byte of the cabinet where the CFDATA header stands
    start: int  # plain offset of the block in its folder
    window: bytes  # the last 32 KiB of plain content before it


class _FolderContent:
    """The plain content of one folder, read forwards; overlapping files go back to a remembered block only."""

    def __init__(self, cabinet: Cabinet, stream: BinaryIO, folder: CabinetFolder) -> None:
        self._cabinet = cabinet
        self._stream = stream
        self._folder = folder
        self._reserve = cabinet.reserves[2] if cabinet.reserves else 0
        self._resume = _Position(0, folder.start, 0, b"")
        self._last: tuple[_Position, bytes, _Position] | None = None
        self._current: CabinetFile | None = None

    def pieces(self, file: CabinetFile, next_offset: int) -> Iterator[bytes]:
        self._current = file
        return self._pieces(file, next_offset)

    def _pieces(self, file: CabinetFile, next_offset: int) -> Iterator[bytes]:
        position = self._resume
        end = file.offset + file.size
        while position.start < end and file.size:
            if self._current is not file:
                raise RuntimeError(f"the content of {file.name} was asked for after the next file")
            plain, following = self._unpack(position)
            # The next file begins in this block or later: it will start here, not before.
            if position.start <= next_offset:
                self._resume = position
            if following.start > file.offset:
                low = max(file.offset - position.start, 0)
                high = end - position.start
                yield plain if low == 0 and high >= len(plain) else plain[low:high]
            position = following

    def _unpack(self, position: _Position) -> tuple[bytes, _Position]:
        if self._last is not None and self._last[0] is position:
            return self._last[1], self._last[2]
        if position.index >= self._folder.blocks:
            raise self._error(position, "the folder ends before its files do", "cCFData")
        packed, plain_size, length = self._read(position)
        method = self._folder.method & 0x0F
        if method == 0:
            plain = packed
        elif method == 1:
            plain = self._inflate(position, packed, plain_size)
        else:
            name = _METHODS.get(method, f"unknown ({method})")
            raise self._error(position, f"compressed by {name}: rebuild the cabinet with MSZIP", "typeCompress")
        if len(plain) != plain_size:
            raise self._error(position, f"the block holds {len(plain)} bytes, not {plain_size}", "cbUncomp")
        window = plain if plain_size == BLOCK_SIZE else (position.window + plain)[-BLOCK_SIZE:]
        following = _Position(position.index + 1, position.at + length, position.start + plain_size, window)
        self._last = position, plain, following
        return plain, following

    def _read(self, position: _Position) -> tuple[bytes, int, int]:
        """The packed bytes of the block, the plain size it declares, and its length in the cabinet."""
        header_size = BLOCK.size + self._reserve
        available = self._cabinet.declared_size - position.at
        self._stream.seek(position.at)
        header = self._stream.read(header_size) if header_size <= available else b""
        if len(header) != header_size:
            raise self._error(position, "the cabinet is truncated", "CFDATA")
        checksum, packed_size, plain_size = BLOCK.unpack_from(header)
        if not 0 < plain_size <= BLOCK_SIZE:
            raise self._error(position, f"a block of {plain_size} bytes: from 1 to 32768 are allowed", "cbUncomp")
        packed = self._stream.read(packed_size) if header_size + packed_size <= available else b""
        if len(packed) != packed_size:
            raise self._error(position, "the cabinet is truncated", "CFDATA")
        if checksum:
            body = block_checksum(packed)
            # [MS-CAB] counts the block's reserve area in, libmspack does not: writers exist of both kinds.
            if checksum not in (body ^ block_checksum(header[4:]), body ^ block_checksum(header[4:8])):
                raise self._error(position, "the block's checksum is wrong: the cabinet is damaged", "csum")
        return packed, plain_size, header_size + packed_size

    def _inflate(self, position: _Position, packed: bytes, plain_size: int) -> bytes:
        if packed[:2] != b"CK":
            raise self._error(position, "an MSZIP block must begin with CK", "ab")
        inflate = zlib.decompressobj(-15, zdict=position.window)
        try:
            # One byte more than declared shows both a longer block and the end mark of a right one.
            plain = inflate.decompress(memoryview(packed)[2:], plain_size + 1)
        except zlib.error as error:
            raise self._error(position, f"the MSZIP block is damaged ({error})", "ab") from None
        if len(plain) > plain_size or not inflate.eof:
            raise self._error(position, f"the MSZIP block does not end after {plain_size} bytes", "cbUncomp")
        return plain

    def _error(self, position: _Position, message: str, field: str) -> ParseError:
        return ParseError(message, source=self._cabinet.source, offset=position.at, field=field)


# What is wrong with a name whose separators are backslashes; the first that matches is told.
