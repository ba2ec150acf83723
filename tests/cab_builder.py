"""Cabinets put together from ready blocks, for tests: any method, reserves, wrong checksums, files at any place."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from hwdash.drivers.cab_format import BLOCK, BLOCK_SIZE, FILE, FOLDER, HEADER, block_checksum


@dataclass(frozen=True)
class Folder:
    """A CFFOLDER: its typeCompress, its packed blocks in order, its plain size, and its files' (name, offset, size)."""

    method: int
    blocks: Sequence[bytes]
    size: int
    files: Sequence[tuple[str, int, int]]


def build_cabinet(folders: Sequence[Folder], *, reserves: tuple[int, int, int] | None = None) -> bytearray:
    """The cabinet of these folders; ``reserves`` are the spare bytes in the header, each folder and each block."""
    header_reserve, folder_reserve, block_reserve = reserves or (0, 0, 0)
    head_size = HEADER.size + (4 + header_reserve if reserves else 0)
    files_at = head_size + len(folders) * (FOLDER.size + folder_reserve)
    files = b"".join(
        FILE.pack(size, offset, index, 0x21, 0, 0x20) + name.encode() + b"\0"
        for index, folder in enumerate(folders)
        for name, offset, size in folder.files
    )
    at = files_at + len(files)
    table, content = b"", []
    for folder in folders:
        table += FOLDER.pack(at, len(folder.blocks), folder.method) + b"f" * folder_reserve
        left = folder.size
        for packed in folder.blocks:
            sizes = struct.pack("<HH", len(packed), min(left, BLOCK_SIZE))
            spare = b"d" * block_reserve
            checksum = block_checksum(packed) ^ block_checksum(sizes + spare)
            content.append(struct.pack("<I", checksum) + sizes + spare + packed)
            left -= min(left, BLOCK_SIZE)
            at += BLOCK.size + block_reserve + len(packed)
    count = sum(len(folder.files) for folder in folders)
    flags = 4 if reserves else 0
    head = HEADER.pack(b"MSCF", 0, at, 0, files_at, 0, 3, 1, len(folders), count, flags, 0, 0)
    if reserves:
        head += struct.pack("<HBB", *reserves) + b"h" * header_reserve
    return bytearray(head + table + files + b"".join(content))
