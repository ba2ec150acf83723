"""PE images for tests: made by a real tool chain, or put together byte by byte where no tool makes such a thing."""

import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

AMD64, I386 = 0x8664, 0x14C
RVA, FILE_AT = 0x1000, 0x400
CODE = 0x60000020

# (module, functions), where a number is an ordinal
Imports = Sequence[tuple[str, Sequence[str | int]]]


def linked_dll(folder: Path, source: str, *libraries: str, resources: str = "") -> Path:
    """A DLL of C ``source``, linked without a C library; ``resources`` is the text of a resource script."""
    (folder / "source.c").write_text(source)
    inputs = [str(folder / "source.c")]
    if resources:
        (folder / "resources.rc").write_text(resources)
        object_file = str(folder / "resources.o")
        subprocess.run(["x86_64-w64-mingw32-windres", str(folder / "resources.rc"), object_file], check=True)
        inputs.append(object_file)
    made = folder / "made.dll"
    command = ["x86_64-w64-mingw32-gcc", "-shared", "-nostdlib", "-Wl,--entry,0", "-o", str(made), *inputs]
    subprocess.run([*command, *(f"-l{name}" for name in libraries)], check=True)
    return made


def image(
    content: bytes = b"",
    directories: Mapping[int, tuple[int, int]] | None = None,
    *,
    machine: int = AMD64,
    time_stamp: int = 0,
    characteristics: int = CODE,
    base: int = 0x400000,
) -> bytes:
    """An image of one section, at ``RVA``, that holds ``content``; ``directories`` by their numbers."""
    is_64_bit = machine != I386
    optional = bytearray((112 if is_64_bit else 96) + 16 * 8)
    struct.pack_into("<H", optional, 0, 0x20B if is_64_bit else 0x10B)
    struct.pack_into(*("<Q", optional, 24, base) if is_64_bit else ("<I", optional, 28, base))
    struct.pack_into("<I", optional, 60, FILE_AT)  # SizeOfHeaders
    struct.pack_into("<I", optional, len(optional) - 16 * 8 - 4, 16)
    for number, place in (directories or {}).items():
        struct.pack_into("<II", optional, len(optional) - 16 * 8 + 8 * number, *place)
    size = len(content) + -len(content) % 0x200
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    head += struct.pack("<4sHHIIIHH", b"PE\0\0", machine, 1, time_stamp, 0, 0, len(optional), 0x2022) + optional
    head += struct.pack("<8sIIIIIIHHI", b".all", size, RVA, size, FILE_AT, 0, 0, 0, 0, characteristics)
    return head.ljust(FILE_AT, b"\0") + content.ljust(size, b"\0")


class Content:
    """The bytes of a section, as they are put there one after the other."""

    def __init__(self) -> None:
        self.data = bytearray()

    def put(self, data: bytes) -> int:
        """Where they begin, as an RVA."""
        at = RVA + len(self.data)
        self.data += data + bytes(-len(data) % 8)
        return at

    def lookup_table(self, functions: Sequence[str | int], width: int, base: int = 0) -> int:
        flag = 1 << (8 * width - 1)
        entries = [
            each | flag if isinstance(each, int) else base + self.put(b"\0\0" + each.encode() + b"\0")
            for each in functions
        ]
        return self.put(b"".join(entry.to_bytes(width, "little") for entry in [*entries, 0]))

    def imports(self, imports: Imports, width: int) -> tuple[int, int]:
        """An import table; its directory entry."""
        table = b""
        for name, functions in imports:
            lookup = self.lookup_table(functions, width)
            table += struct.pack("<IIIII", lookup, 0, 0, self.put(name.encode() + b"\0"), lookup)
        return self.put(table + bytes(20)), len(table) + 20

    def delay_imports(self, imports: Imports, width: int, *, base: int = 0) -> tuple[int, int]:
        """A delay-load table; of addresses, as in old images, when there is a ``base``."""
        table = b""
        for name, functions in imports:
            lookup, at = self.lookup_table(functions, width, base), self.put(name.encode() + b"\0")
            table += struct.pack("<IIIIIIII", 0 if base else 1, base + at, 0, 0, base + lookup, 0, 0, 0)
        return self.put(table + bytes(32)), len(table) + 32

    def debug(self, *kinds: int) -> tuple[int, int]:
        """A debug directory with entries of those types."""
        entries = b"".join(struct.pack("<IIHHIIII", 0, 0, 0, 0, kind, 0, 0, 0) for kind in kinds)
        return self.put(entries), len(entries)


def importing(imports: Imports, *, delayed: Imports = (), machine: int = AMD64, **options: int) -> bytes:
    """An image that imports."""
    content, width = Content(), 4 if machine == I386 else 8
    directories = {1: content.imports(imports, width)}
    if delayed:
        directories[13] = content.delay_imports(delayed, width)
    return image(bytes(content.data), directories, machine=machine, **options)


def linked_on(time_stamp: int, *debug_kinds: int) -> bytes:
    """An image with a time stamp (seconds since 1970), and a debug directory when there are ``debug_kinds``."""
    content = Content()
    directories = {6: content.debug(*debug_kinds)} if debug_kinds else {}
    return image(bytes(content.data), directories, time_stamp=time_stamp)
