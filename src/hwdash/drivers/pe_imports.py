"""What a PE image imports: modules, and functions by name or ordinal, at once or delayed.

Format: Microsoft's "PE Format", import and delay-load tables. Image and table are untrusted: time and memory are
bounded, ParseError says what is wrong, LimitExceeded what is too much.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hwdash.drivers.errors import LimitExceeded, ParseError
from hwdash.drivers.pe_sections import DELAY_IMPORTS, IMPORTS, MappedImage

MAX_MODULES: Final = 4096
MAX_FUNCTIONS: Final = 1 << 16
MAX_NAME_BYTES: Final = 16 << 20
"""Of all names together."""

_DESCRIPTOR: Final = struct.Struct("<IIIII")
_DELAY_DESCRIPTOR: Final = struct.Struct("<IIIIIIII")
_HOLDS_RVAS: Final = 1  # in Attributes of a delay descriptor; without it the fields are addresses, as in old images
_API_SETS: Final = ("api-ms-", "ext-ms-")
_KERNEL: Final = frozenset({"ntoskrnl.exe", "hal.dll", "bootvid.dll", "kdcom.dll", "pshed.dll", "ci.dll"})


@dataclass(frozen=True, slots=True)
class ImportedModule:
    """A module that an image imports from: ``functions`` are names or ordinals, in the order of the table."""

    name: str
    functions: tuple[str | int, ...]
    delayed: bool

    @property
    def kind(self) -> str:
        """``apiSet`` for the name of an API set, ``kernel`` for a module of kernel mode, else ``dll``."""
        name = self.name.lower()
        if name.startswith(_API_SETS):
            return "apiSet"
        return "kernel" if name in _KERNEL or name.endswith(".sys") else "dll"


def imported_modules(image: MappedImage) -> list[ImportedModule]:
    """The modules of the import table, then those of the delay-load table. A module may occur in both."""
    reader = _Reader(image)
    return [*reader.bound_at_load(), *reader.delayed()]


class _Reader:
    def __init__(self, image: MappedImage) -> None:
        self._image = image
        self._modules = 0
        self._functions = 0
        self._name_bytes = 0

    def bound_at_load(self) -> Iterator[ImportedModule]:
        rva, _ = self._image.directory(IMPORTS)
        while rva:
            lookup, _, _, name, addresses = _DESCRIPTOR.unpack(self._image.take(rva, 20, "import table"))
            if not name or not addresses:
                return
            yield self._module(name, lookup or addresses, delayed=False)
            rva += 20

    def delayed(self) -> Iterator[ImportedModule]:
        rva, _ = self._image.directory(DELAY_IMPORTS)
        while rva:
            raw = self._image.take(rva, 32, "delay-load table")
            attributes, name, _, _, lookup, _, _, _ = _DELAY_DESCRIPTOR.unpack(raw)
            if not name:
                return
            base = 0 if attributes & _HOLDS_RVAS else self._image.base
            yield self._module(name - base, lookup - base, delayed=True, base=base)
            rva += 32

    def _module(self, name: int, lookup: int, *, delayed: bool, base: int = 0) -> ImportedModule:
        self._modules += 1
        if self._modules > MAX_MODULES:
            raise LimitExceeded(f"imports from more than {MAX_MODULES} modules", source=self._image.source)
        return ImportedModule(self._text(name, "module name"), tuple(self._names(lookup, base)), delayed)

    def _names(self, rva: int, base: int) -> Iterator[str | int]:
        width, is_ordinal = (8, 1 << 63) if self._image.is_64_bit else (4, 1 << 31)
        while entry := int.from_bytes(self._image.take(rva, width, "import lookup table"), "little"):
            self._functions += 1
            if self._functions > MAX_FUNCTIONS:
                raise LimitExceeded(f"imports more than {MAX_FUNCTIONS} functions", source=self._image.source)
            # A hint of two bytes stands before the name.
            yield entry & 0xFFFF if entry & is_ordinal else self._text(entry - base + 2, "import name")
            rva += width

    def _text(self, rva: int, field: str) -> str:
        if not 0 < rva <= 0xFFFFFFFF:
            raise ParseError(f"{rva:#x} is no RVA", source=self._image.source, field=field)
        text = self._image.text(rva, field)
        self._name_bytes += len(text)
        if self._name_bytes > MAX_NAME_BYTES:
            raise LimitExceeded(f"the names of its imports have over {MAX_NAME_BYTES} bytes", source=self._image.source)
        return text
