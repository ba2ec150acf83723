"""The numbers and entries of the cabinet format ([MS-CAB]) that its readers and its writer share."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

BLOCK_SIZE: Final = 32768  # a CFDATA block holds at most this much plain content
MAX_BLOCKS: Final = 65535  # cCFData is 16 bits wide
SIGNATURE_RESERVE: Final = 20  # bytes that Authenticode keeps in the header's reserve area
HEADER: Final = struct.Struct("<4sIIIIIBBHHHHH")
FOLDER: Final = struct.Struct("<IHH")
FILE: Final = struct.Struct("<IIHHHH")
BLOCK: Final = struct.Struct("<IHH")
FLAG_PREVIOUS: Final = 1
FLAG_NEXT: Final = 2
FLAG_RESERVE: Final = 4
NAME_LIMIT: Final = 256  # szName with its NUL
NAME_IS_UTF8: Final = 0x80


class Method(IntEnum):
    """How a folder is compressed: the low four bits of typeCompress."""

    STORE = 0
    MSZIP = 1
    QUANTUM = 2
    LZX = 3

    @property
    def label(self) -> str:
        """As messages call it."""
        return "Quantum" if self is Method.QUANTUM else self.name


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
    """One CFFOLDER: ``blocks`` CFDATA blocks from byte ``start`` of the cabinet; ``method`` is its typeCompress."""

    start: int
    blocks: int
    method: int

    @property
    def compression(self) -> Method | None:
        """None for a method that does not exist."""
        kind = self.method & 0x0F
        return Method(kind) if kind <= Method.LZX else None

    @property
    def window_bits(self) -> int:
        """The binary logarithm of the window of LZX and Quantum."""
        return self.method >> 8 & 0x1F


def block_checksum(block: bytes) -> int:
    """The CFDATA checksum: all little-endian 32-bit words XORed; one to three last bytes count big-endian."""
    whole = len(block) & ~3
    # Quarters of the block XORed as big integers, then halves until one word is left: a handful of steps, no loop
    # over words.
    words = (whole // 4 + 3) // 4
    folded = 0
    for at in range(0, whole, 4 * words or 1):
        folded ^= int.from_bytes(block[at : min(at + 4 * words, whole)], "little")
    while words > 1:
        words = (words + 1) // 2
        folded = folded >> 32 * words ^ folded & (1 << 32 * words) - 1
    return folded ^ int.from_bytes(block[whole:], "big")


def signature_reserve(offset: int, size: int) -> bytes:
    """The 24 bytes after the header that announce a signature: reserve sizes, then where the signature stands."""
    return struct.pack("<HBBIIIQ", SIGNATURE_RESERVE, 0, 0, 0x00100000, offset, size, 0)
