"""A PE image as its section table lays it out: reads by relative virtual address (RVA), each of them checked.

Format: Microsoft's "PE Format". Signing needs none of this (drivers/pe.py); it is for what Windows reads of a loaded
image: imports and resources.
"""

import struct
from bisect import bisect_right
from datetime import UTC, datetime
from typing import BinaryIO, Final

from hwdash.drivers.errors import ParseError
from hwdash.drivers.pe import PE32, PeImage

EXPORTS, IMPORTS, RESOURCES, DEBUG, DELAY_IMPORTS = 0, 1, 2, 6, 13
"""Numbers of the data directories that are read."""

MACHINES: Final = {0x14C: "x86", 0x8664: "amd64", 0xAA64: "arm64", 0x1C4: "arm", 0x1C0: "arm", 0x200: "ia64"}
"""IMAGE_FILE_MACHINE numbers in the spelling of INF decorations."""

MAX_TEXT: Final = 4096
"""Bytes of one name; mangled C++ names reach hundreds."""

_MAX_DEBUG_ENTRIES: Final = 64
_REPRODUCIBLE: Final = 16  # IMAGE_DEBUG_TYPE_REPRO: the time stamp is a hash of the content
_CODE: Final = 0x00000020 | 0x20000000  # IMAGE_SCN_CNT_CODE, IMAGE_SCN_MEM_EXECUTE


class MappedImage:
    """Checked reads by RVA in an image whose headers ``PeImage.open`` has accepted.

    ``is_64_bit`` and ``base`` (the preferred load address) are the optional header's; ``has_code`` says whether any
    section holds or may execute code.
    """

    def __init__(self, stream: BinaryIO, image: PeImage, *, source: str) -> None:
        self.source = source
        self._stream = stream
        self._end = image.body_size
        optional_at = image.checksum_offset - 64
        directories = 96 if image.magic == PE32 else 112
        head = self._at(optional_at - 24, 24, "PE header")
        section_count, self.time_stamp = struct.unpack_from("<HI", head, 6)
        (optional_size,) = struct.unpack_from("<H", head, 20)
        optional = self._at(optional_at, optional_size, "optional header")
        self.is_64_bit = image.magic != PE32
        (self.base,) = (
            struct.unpack_from("<Q", optional, 24) if self.is_64_bit else struct.unpack_from("<I", optional, 28)
        )
        (self._headers_size,) = struct.unpack_from("<I", optional, 60)
        self._directories = optional[directories:]
        self._directory_count = min(
            struct.unpack_from("<I", optional, directories - 4)[0], len(self._directories) // 8, 16
        )
        table = self._at(optional_at + optional_size, 40 * section_count, "section table")
        sections = [struct.unpack_from("<IIII", table, 40 * index + 8) for index in range(section_count)]
        flags = [struct.unpack_from("<I", table, 40 * index + 36)[0] for index in range(section_count)]
        self.has_code = any(each & _CODE for each in flags)
        # (RVA, bytes in the file, place in the file), in the order of the RVAs; without a place there are no bytes
        self._sections = sorted(
            (rva, raw_size if virtual_size == 0 else min(raw_size, _paged(virtual_size)), start)
            for virtual_size, rva, raw_size, start in sections
            if start
        )

    def directory(self, number: int) -> tuple[int, int]:
        """RVA and size of a data directory; (0, 0) where the image has none."""
        if number >= self._directory_count:
            return 0, 0
        rva, size = struct.unpack_from("<II", self._directories, 8 * number)
        return rva, size

    def take(self, rva: int, size: int, field: str) -> bytes:
        """``size`` bytes from ``rva``; ParseError when they are not all within the file's part of one section."""
        at, available = self._place(rva, field)
        if size > available:
            raise ParseError(f"{size} bytes at RVA {rva:#x} go past their section", source=self.source, field=field)
        return self._at(at, size, field)

    def text(self, rva: int, field: str) -> str:
        """The text that ends with a NUL; bytes that are no UTF-8 are escaped. ParseError beyond ``MAX_TEXT`` bytes."""
        at, available = self._place(rva, field)
        raw, end, _ = self._at(at, min(available, MAX_TEXT + 1), field).partition(b"\0")
        if not end:
            raise ParseError(f"the name at RVA {rva:#x} has no end", source=self.source, field=field)
        return raw.decode("utf-8", "backslashreplace")

    def linked(self) -> datetime | None:
        """When the image was linked (UTC); None when that is not sure: many linkers put a hash in place of a time, and
        only an image with a debug directory says so.
        """
        rva, size = self.directory(DEBUG)
        if not rva or self.time_stamp == 0:
            return None
        entries = (
            self.take(rva + 28 * index, 28, "debug directory") for index in range(min(size // 28, _MAX_DEBUG_ENTRIES))
        )
        if any(int.from_bytes(entry[12:16], "little") == _REPRODUCIBLE for entry in entries):
            return None
        return datetime.fromtimestamp(self.time_stamp, UTC)

    def _place(self, rva: int, field: str) -> tuple[int, int]:
        """Where an RVA stands in the file, and how many bytes follow it there."""
        index = bisect_right(self._sections, (rva, 1 << 32, 1 << 32)) - 1
        if index >= 0:
            start, size, at = self._sections[index]
            if rva < start + size:
                return at + rva - start, start + size - rva
        if rva < self._headers_size:
            return rva, self._headers_size - rva
        raise ParseError(f"RVA {rva:#x} is in no part of the file", source=self.source, field=field)

    def _at(self, offset: int, size: int, field: str) -> bytes:
        taken = b""
        if 0 <= offset <= self._end - size:
            self._stream.seek(offset)
            taken = self._stream.read(size)
        if len(taken) != size:
            raise ParseError("the image is truncated", source=self.source, offset=offset, field=field)
        return taken


def _paged(size: int) -> int:
    """Windows maps whole pages."""
    return size + -size % 4096
