"""The hardware IDs of a computer (CHIDs), by which a driver is targeted at machines.

Sources: install/specifying-hardware-ids-for-a-computer.md and facts/chid-and-ranking.md; the SMBIOS structures are
those of DMTF DSP0134. A CHID is a version 5 UUID over some values of the firmware, joined by ``&``, in UTF-16; it
exists only where the firmware gives each of them.
"""

import hashlib
import re
import struct
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hwdash.drivers.errors import LimitExceeded, ParseError

NAMESPACE = uuid.UUID("70ffd812-4c7f-4c7d-0000-000000000000")

MAX_BYTES = 1 << 20
"""A real table has a few kilobytes; its size is a 16-bit number before SMBIOS 3."""

MAX_STRUCTURES = 0x10000

_BLANKS = " \t\n\v\f\r"
_BIOS = ("bios_vendor", "bios_version", "bios_major", "bios_minor")
_BASEBOARD = ("baseboard_manufacturer", "baseboard_product")

FIELDS: tuple[tuple[str, ...], ...] = (
    ("manufacturer", "family", "product", "sku", *_BIOS),
    ("manufacturer", "family", "product", *_BIOS),
    ("manufacturer", "product", *_BIOS),
    ("manufacturer", "family", "product", "sku", *_BASEBOARD),
    ("manufacturer", "family", "product", "sku"),
    ("manufacturer", "family", "product"),
    ("manufacturer", "sku", *_BASEBOARD),
    ("manufacturer", "sku"),
    ("manufacturer", "product", *_BASEBOARD),
    ("manufacturer", "product"),
    ("manufacturer", "family", *_BASEBOARD),
    ("manufacturer", "family"),
    ("manufacturer", "enclosure_type"),
    ("manufacturer", *_BASEBOARD),
    ("manufacturer",),
)
"""The values that HardwareID-0 to HardwareID-14 are made of, in their order, by the names of ``Computer``."""


@dataclass(frozen=True, slots=True)
class Computer:
    """What SMBIOS says of a computer; None where it says nothing. Numbers are bytes, texts as the firmware has them."""

    manufacturer: str | None = None
    family: str | None = None
    product: str | None = None
    sku: str | None = None
    baseboard_manufacturer: str | None = None
    baseboard_product: str | None = None
    bios_vendor: str | None = None
    bios_version: str | None = None
    bios_major: int | None = None
    bios_minor: int | None = None
    enclosure_type: int | None = None

    def hashed(self, name: str) -> str | None:
        """A value in the form in which it enters a CHID; None when it is missing or nothing of it is left."""
        value = getattr(self, name)
        if value is None:
            return None
        if isinstance(value, int):
            return f"{value:x}" if name == "enclosure_type" else f"{value:02x}"
        return str(value).strip(_BLANKS).lstrip("0") or None


class Chid(NamedTuple):
    """HardwareID-``number`` of a computer, made of the values called ``names``."""

    number: int
    value: uuid.UUID
    names: tuple[str, ...]


def chids(computer: Computer) -> list[Chid]:
    """The CHIDs of a computer, most specific first: those whose values are all there."""
    found = []
    for number, names in enumerate(FIELDS):
        values = [computer.hashed(name) for name in names]
        present = [value for value in values if value is not None]
        if len(present) == len(values):
            found.append(Chid(number, _uuid("&".join(present)), names))
    return found


def _uuid(text: str) -> uuid.UUID:
    # uuid.uuid5 hashes names in UTF-8.
    name = text.encode("utf-16-le", errors="surrogatepass")
    return uuid.UUID(bytes=hashlib.sha1(NAMESPACE.bytes + name, usedforsecurity=False).digest()[:16], version=5)


# From SMBIOS


_TYPE_BIOS, _TYPE_SYSTEM, _TYPE_BASEBOARD, _TYPE_ENCLOSURE, _TYPE_END = 0, 1, 2, 3, 127
_MOTHERBOARD = 0x0A


class _Structure(NamedTuple):
    """``formatted`` begins with the header, so that the offsets of the specification hold; ``strings`` end with NUL."""

    kind: int
    formatted: bytes
    strings: bytes


def parse_smbios(data: bytes, *, source: str) -> Computer:
    """What the structures of an SMBIOS table say: its bytes as in ``/sys/firmware/dmi/tables/DMI``, or a file of
    ``dmidecode --dump-bin``, which has an entry point before them.

    Of several structures of a type the first counts; of baseboards the first that is a motherboard, if one says so. A
    number of a string that is not there counts as no string, as it does in Linux. Raises ParseError with the offset in
    ``data``, and LimitExceeded beyond ``MAX_BYTES`` or ``MAX_STRUCTURES``.
    """
    if len(data) > MAX_BYTES:
        raise LimitExceeded(f"{len(data)} bytes; an SMBIOS table may have {MAX_BYTES}", source=source)
    first: dict[int, _Structure] = {}
    motherboard: _Structure | None = None
    for structure in _structures(data, source):
        first.setdefault(structure.kind, structure)
        if structure.kind == _TYPE_BASEBOARD and motherboard is None and _byte(structure, 0x0D) == _MOTHERBOARD:
            motherboard = structure
    if motherboard is not None:
        first[_TYPE_BASEBOARD] = motherboard
    if _TYPE_SYSTEM not in first:
        raise ParseError("no System Information (type 1): this is not an SMBIOS table", source=source, offset=0)

    def text(kind: int, offset: int) -> str | None:
        structure = first.get(kind)
        return _text(structure, offset) if structure is not None else None

    def byte(kind: int, offset: int) -> int | None:
        structure = first.get(kind)
        return _byte(structure, offset) if structure is not None else None

    return Computer(
        manufacturer=text(_TYPE_SYSTEM, 0x04),
        family=text(_TYPE_SYSTEM, 0x1A),
        product=text(_TYPE_SYSTEM, 0x05),
        sku=text(_TYPE_SYSTEM, 0x19),
        baseboard_manufacturer=text(_TYPE_BASEBOARD, 0x04),
        baseboard_product=text(_TYPE_BASEBOARD, 0x05),
        bios_vendor=text(_TYPE_BIOS, 0x04),
        bios_version=text(_TYPE_BIOS, 0x05),
        bios_major=byte(_TYPE_BIOS, 0x14),
        bios_minor=byte(_TYPE_BIOS, 0x15),
        enclosure_type=byte(_TYPE_ENCLOSURE, 0x05),
    )


def _structures(data: bytes, source: str) -> Iterator[_Structure]:
    offset, end = _table(data, source)
    for _ in range(MAX_STRUCTURES):
        if offset >= end:
            return
        if end - offset < 4:
            raise ParseError("a structure header is cut off", source=source, offset=offset)
        kind, length, _handle = struct.unpack_from("<BBH", data, offset)
        if length < 4 or length > end - offset:
            raise ParseError(
                f"a structure of {length} bytes where 4 to {end - offset} are possible",
                source=source,
                offset=offset + 1,
                field="Length",
            )
        # The strings, or their absence, end with two NULs.
        strings_end = data.find(b"\0\0", offset + length, end)
        if strings_end < 0:
            raise ParseError("the strings of a structure do not end", source=source, offset=offset + length)
        yield _Structure(kind, data[offset : offset + length], data[offset + length : strings_end])
        if kind == _TYPE_END:
            return
        offset = strings_end + 2
    raise LimitExceeded(f"more than {MAX_STRUCTURES} SMBIOS structures", source=source)


def _table(data: bytes, source: str) -> tuple[int, int]:
    """Where the structures begin and end."""
    if data.startswith((b"_SM3_", b"_SM_")):
        if len(data) < 0x20:
            raise ParseError("the entry point is cut off", source=source, offset=len(data))
        field = 0x10 if data.startswith(b"_SM3_") else 0x18
        size, start = struct.unpack_from("<IQ", data, 0x0C) if field == 0x10 else struct.unpack_from("<HI", data, 0x16)
        if start > len(data):
            message = f"the table is at {start:#x}, beyond the end"
            raise ParseError(message, source=source, offset=field, field="Structure Table Address")
        return start, min(start + size, len(data))
    return 0, len(data)


def _text(structure: _Structure, offset: int) -> str | None:
    number = _byte(structure, offset)
    strings = structure.strings.split(b"\0") if structure.strings else []
    if not number or number > len(strings):
        return None
    raw = strings[number - 1]
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _byte(structure: _Structure, offset: int) -> int | None:
    return structure.formatted[offset] if offset < len(structure.formatted) else None


# From Linux

_LINUX_NAMES = {
    "manufacturer": "sys_vendor",
    "family": "product_family",
    "product": "product_name",
    "sku": "product_sku",
    "baseboard_manufacturer": "board_vendor",
    "baseboard_product": "board_name",
    "bios_vendor": "bios_vendor",
    "bios_version": "bios_version",
}
_RELEASE = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\s*\Z", re.ASCII)
_NUMBER = re.compile(r"([0-9]{1,3})\s*\Z", re.ASCII)


def read_linux(folder: Path) -> Computer:
    """What Linux tells every user, as one file a value, in ``/sys/class/dmi/id``; a file that is not there or cannot be
    read is a missing value. Linux leaves out the lock bit of the enclosure's type.
    """

    def value(name: str) -> str | None:
        with suppress(OSError):
            return (folder / name).read_bytes()[:MAX_BYTES].decode("utf-8", errors="replace").removesuffix("\n")
        return None

    release = _RELEASE.match(value("bios_release") or "")
    enclosure = _NUMBER.match(value("chassis_type") or "")
    numbers = [int(text) for match in (release, enclosure) if match for text in match.groups()]
    if any(number > 0xFF for number in numbers):
        raise ParseError("a BIOS release or an enclosure type above 255", source=str(folder))
    return Computer(
        **{name: value(file) for name, file in _LINUX_NAMES.items()},
        bios_major=int(release[1]) if release else None,
        bios_minor=int(release[2]) if release else None,
        enclosure_type=int(enclosure[1]) if enclosure else None,
    )


SYSFS = Path("/sys")


def read_this_machine(sysfs: Path = SYSFS) -> Computer:
    """This machine, from its SMBIOS table where it may be read (by root alone, as a rule), else from what Linux tells
    everybody. Raises FileNotFoundError where the system shows neither, ParseError and LimitExceeded.
    """
    table = sysfs / "firmware" / "dmi" / "tables" / "DMI"
    with suppress(OSError):
        with table.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        return parse_smbios(data, source=str(table))
    folder = sysfs / "class" / "dmi" / "id"
    if not folder.is_dir():
        raise FileNotFoundError(f"this system shows no SMBIOS data: there is neither {table} nor {folder}")
    return read_linux(folder)
