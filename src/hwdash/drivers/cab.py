"""Cabinet files: reading untrusted ones in flat memory, and writing.

Format: [MS-CAB] and, for MSZIP, [MS-MCI] of Microsoft's open specifications; what real readers and writers do is in
facts/package-formats.md. One cabinet stands alone here: sets that span several files are refused. Store, MSZIP and LZX
are read everywhere; LZX many times faster, and Quantum at all, where libmspack is installed (drivers/libmspack.py).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from hwdash.drivers.cab_content import BlockReader, folder_content, unpacking_cost
from hwdash.drivers.cab_format import (
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
    CabinetFile,
    CabinetFolder,
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


@dataclass(frozen=True, slots=True)
class SignatureRange:
    """Where the header says the Authenticode signature stands; not yet checked against the file."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class CabinetLimits:
    """What a cabinet may cost its reader.

    ``max_ratio`` counts plain bytes per cabinet byte and applies once the plain bytes pass ``ratio_applies_above``.
    On zeros alone Deflate reaches 1000:1 and LZX more; drivers, firmware and symbols included, stay below 20:1, so
    200:1 refuses bombs and nothing else.
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
        # What is written (files may share content) and what must be unpacked to reach it (content may belong to no
        # file).
        written = sum(file.size for file in self.files)
        by_folder = self._files_by_folder()
        reached = sum(max(file.offset + file.size for file in files) for files in by_folder.values())
        total = max(written, reached)
        if total > limits.max_total_bytes:
            raise LimitExceeded(
                f"unpacks to {total} bytes, at most {limits.max_total_bytes} are allowed", source=self.source
            )
        if total > limits.ratio_applies_above and total > limits.max_ratio * self.declared_size:
            message = f"{self.declared_size} bytes unpack to {total}, more than {limits.max_ratio} times as much"
            raise LimitExceeded(f"{message}: a decompression bomb", source=self.source)
        cost = sum(unpacking_cost(self.folders[index], files) for index, files in by_folder.items())
        if cost > limits.max_total_bytes:
            message = (
                f"files overlap so that {cost} bytes must be unpacked, at most {limits.max_total_bytes} are allowed"
            )
            raise LimitExceeded(f"{message}: rebuild the cabinet with MSZIP", source=self.source)

    def extract(self, *, use_libmspack: bool = True) -> Iterator[tuple[CabinetFile, Iterator[bytes]]]:
        """Every file with its content in pieces of at most 32 KiB, by folder and offset; memory stays flat.

        An iterator of pieces is good until the next file is asked for; what it was not asked for is skipped. Block
        checksums are verified where the writer set them. ParseError when a block or a method is wrong. Call
        ``check_limits`` first. Without ``use_libmspack`` all is read in Python, and Quantum not at all.
        """
        reserve = self.reserves[2] if self.reserves else 0
        blocks = BlockReader(self._stream, source=self.source, end=self.declared_size, reserve=reserve)
        for index, files in sorted(self._files_by_folder().items()):
            content = folder_content(blocks, self.folders[index], files, use_libmspack=use_libmspack)
            following: list[int | None] = [None]  # from the last file on, where the next one that is not empty begins
            for file in reversed(files[1:]):
                following.append(file.offset if file.size else following[-1])
            for file, next_offset in zip(files, reversed(following), strict=True):
                yield file, content.pieces(file, next_offset)

    def _files_by_folder(self) -> dict[int, list[CabinetFile]]:
        """The files of each folder that has any, in the order of their content."""
        by_folder: dict[int, list[CabinetFile]] = {}
        for file in sorted(self.files, key=lambda file: (file.offset, file.size)):
            by_folder.setdefault(file.folder, []).append(file)
        return by_folder


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
