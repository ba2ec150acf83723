"""Writing cabinets; ``cab`` exports ``write_cabinet``."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal

from hwdash.drivers.cab_format import (
    BLOCK,
    BLOCK_SIZE,
    FILE,
    FLAG_RESERVE,
    FOLDER,
    HEADER,
    MAX_BLOCKS,
    NAME_IS_UTF8,
    NAME_LIMIT,
    SIGNATURE_RESERVE,
    block_checksum,
    signature_reserve,
)
from hwdash.drivers.errors import LimitExceeded

_ARCHIVE: Final = 0x20
# [MS-MCI] allows a block to grow by 12 bytes, the signature "CK" among them.
_MSZIP_GROWTH: Final = 12


def write_cabinet(
    stream: BinaryIO,
    entries: Iterable[tuple[str, Path | bytes]],
    *,
    compression: Literal["mszip", "store"] = "mszip",
    reserve_for_signature: bool = False,
    modified: datetime | None = None,
) -> None:
    """Write a cabinet of ``entries`` (stored name, content) to ``stream``, which must be seekable and empty.

    Equal entries give equal bytes: every file carries the time ``modified``, by default 1980-01-01. A slash in a name
    is written as a backslash. Content fills one folder, the next one when 65535 blocks are full. ValueError for a name
    that the format cannot hold, LimitExceeded for content that it cannot.
    """
    plan = _Plan(list(entries))
    header_size = HEADER.size + (4 + SIGNATURE_RESERVE if reserve_for_signature else 0)
    table = plan.file_table(modified)
    files_at = header_size + FOLDER.size * len(plan.folders)
    at = files_at + len(table)
    stream.write(bytes(at))
    folders = b""
    method = 1 if compression == "mszip" else 0
    for folder in plan.folders:
        start, count = at, 0
        window = b""
        for plain in _blocks(folder):
            packed = plain if method == 0 else _deflate(plain, window)
            sizes = struct.pack("<HH", len(packed), len(plain))
            stream.write(struct.pack("<I", block_checksum(packed) ^ block_checksum(sizes)) + sizes + packed)
            at += BLOCK.size + len(packed)
            count += 1
            window = plain
        folders += FOLDER.pack(start, count, method)
        if at > 0xFFFFFFFF:
            raise LimitExceeded("a cabinet holds less than 4 GiB: split the content", source="new cabinet")
    flags = FLAG_RESERVE if reserve_for_signature else 0
    header = HEADER.pack(b"MSCF", 0, at, 0, files_at, 0, 3, 1, len(plan.folders), plan.count, flags, 0, 0)
    if reserve_for_signature:
        header += signature_reserve(0, 0)
    stream.seek(0)
    stream.write(header + folders + table)
    stream.seek(at)


class _Plan:
    """Which file goes into which folder; all sizes are known before the first byte is written."""

    def __init__(self, entries: list[tuple[str, Path | bytes]]) -> None:
        if len(entries) > 0xFFFF:
            raise LimitExceeded(f"a cabinet holds at most 65535 files, not {len(entries)}", source="new cabinet")
        self.count = len(entries)
        self.folders: list[list[tuple[Path | bytes, int]]] = []
        self._entries: list[tuple[bytes, int, int, int, int]] = []
        used = 0
        for name, content in entries:
            raw = name.replace("/", "\\").encode("utf-8")
            if not raw or b"\0" in raw or len(raw) >= NAME_LIMIT:
                raise ValueError(f"a name in a cabinet has 1 to 255 bytes and no NUL: {name!r}")
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
            if size > MAX_BLOCKS * BLOCK_SIZE:
                raise LimitExceeded(f"{name}: a cabinet holds files of less than 2 GiB", source="new cabinet")
            if not self.folders or used + size > MAX_BLOCKS * BLOCK_SIZE:
                self.folders.append([])
                used = 0
            attributes = _ARCHIVE | (0 if name.isascii() else NAME_IS_UTF8)
            self._entries.append((raw, size, used, len(self.folders) - 1, attributes))
            self.folders[-1].append((content, size))
            used += size

    def file_table(self, modified: datetime | None) -> bytes:
        date, time = 0x0021, 0  # 1980-01-01 00:00:00
        if modified is not None:
            if not 1980 <= modified.year <= 2107:
                raise ValueError(f"a cabinet cannot hold the year {modified.year}")
            date = (modified.year - 1980) << 9 | modified.month << 5 | modified.day
            time = modified.hour << 11 | modified.minute << 5 | modified.second // 2
        return b"".join(
            FILE.pack(size, offset, folder, date, time, attributes) + raw + b"\0"
            for raw, size, offset, folder, attributes in self._entries
        )


def _blocks(contents: list[tuple[Path | bytes, int]]) -> Iterator[bytes]:
    """The contents one after the other, cut into blocks of 32 KiB."""
    pending = bytearray()
    for content, size in contents:
        got = 0
        for piece in _chunks(content):
            got += len(piece)
            pending += piece
            whole = len(pending) - len(pending) % BLOCK_SIZE
            for at in range(0, whole, BLOCK_SIZE):
                yield bytes(pending[at : at + BLOCK_SIZE])
            del pending[:whole]
        if got != size:
            raise LimitExceeded(f"{content!s} changed its size while it was read", source="new cabinet")
    if pending:
        yield bytes(pending)


def _chunks(content: Path | bytes) -> Iterator[bytes]:
    if isinstance(content, bytes):
        for at in range(0, len(content), 1 << 20):
            yield content[at : at + (1 << 20)]
        return
    with content.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece


def _deflate(plain: bytes, window: bytes) -> bytes:
    """One MSZIP block: raw deflate that may refer to the block before."""
    packed = _raw_deflate(plain, window, zlib.Z_DEFAULT_COMPRESSION)
    if len(packed) > BLOCK_SIZE + _MSZIP_GROWTH:
        packed = _raw_deflate(plain, b"", zlib.Z_NO_COMPRESSION)
    return packed


def _raw_deflate(plain: bytes, window: bytes, level: int) -> bytes:
    deflate = (
        zlib.compressobj(level, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, window)
        if window
        else zlib.compressobj(level, zlib.DEFLATED, -15, 9)
    )
    return b"CK" + deflate.compress(plain) + deflate.flush()
