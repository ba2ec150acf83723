"""Rules on the flags and data of registry entries.

Sources: install/inf-addreg-directive.md, inf-delreg-directive.md, inf-bitreg-directive.md.
"""

import re
from collections.abc import Iterator

from hwdash.drivers.inf.lexer import Entry
from hwdash.drivers.inf.verify.inspection import Inspection, Problem, RegistryEntry, number

_BINARY = 0x1  # FLG_ADDREG_BINVALUETYPE
_APPEND = 0x8  # FLG_ADDREG_APPEND
_WITHOUT_DATA = 0x4 | 0x10 | 0x2000  # DELVAL, KEYONLY, KEYONLY_COMMON: the data, if any, is not looked at
_MULTI_SZ_DELETE = 0x18002  # FLG_DELREG_MULTI_SZ_DELSTRING
_TYPES = {
    0x00000000: "REG_SZ",
    0x00000001: "REG_BINARY",
    0x00010000: "REG_MULTI_SZ",
    0x00010001: "REG_DWORD",
    0x00020000: "REG_EXPAND_SZ",
    0x00020001: "REG_NONE",
    0x000B0001: "REG_QWORD",
}
_REG_MULTI_SZ = 7  # the registry's own number, which a custom type must not use; those of the others mean known types
_HIGHEST_KNOWN = 2  # high words up to here are of known types
_BITS = {"REG_DWORD": 32, "REG_QWORD": 64}
_BYTE = re.compile(r"(?:0x)?[0-9a-f]{1,2}\Z", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"(?:0x[0-9a-f]{1,32}|-?[0-9]{1,32})\Z", re.IGNORECASE | re.ASCII)
_WELL_KNOWN = {
    "devicecharacteristics": "REG_DWORD",
    "devicetype": "REG_DWORD",
    "exclusive": "REG_DWORD",
    "upperfilters": "REG_MULTI_SZ",
    "lowerfilters": "REG_MULTI_SZ",
}
"""Values of the hardware key that Windows reads (the special keywords of inf-addreg-directive.md)."""


def inf_1262_registry_bitmask_not_byte(case: Inspection) -> Iterator[Problem]:
    """BitReg changes bits of one byte."""
    for entry in _lines(case, "bitreg"):
        mask = case.inf.substitute(entry.value(4))
        parsed = number(mask)
        if parsed is not None and not 0 <= parsed <= 0xFF:
            message = f"The bit mask {mask} is wider than a byte."
            yield Problem(entry.line, message, "Write a mask from 0x00 to 0xFF, and the number of the byte after it.")


def inf_1263_registry_custom_type_clash(case: Inspection) -> Iterator[Problem]:
    """A type of the vendor's own must not have the number of a string type."""
    for entry in case.registry:
        if entry.flags & _BINARY and entry.flags >> 16 == _REG_MULTI_SZ:
            message = f"The flags {entry.flags_text} of {_name(entry)} make a custom type of REG_MULTI_SZ's number, 7."
            yield Problem(entry.line, message, "Write 0x00010000 for a REG_MULTI_SZ, or choose another number.")


def inf_1264_registry_custom_type_flag(case: Inspection) -> Iterator[Problem]:
    """A type of the vendor's own is binary, and its flags say so."""
    for entry in case.registry:
        if _HIGHEST_KNOWN < entry.flags >> 16 <= 0xFFFF and not entry.flags & _BINARY:
            message = f"The flags {entry.flags_text} of {_name(entry)} have a custom type without the bit 0x1."
            remedy = "Add 0x1 (FLG_ADDREG_BINVALUETYPE) and give bytes, or write the flags of a known type."
            yield Problem(entry.line, message, remedy)


def inf_1265_registry_append_non_multi(case: Inspection) -> Iterator[Problem]:
    """Only a list of strings can be appended to."""
    for entry in case.registry:
        if entry.flags & _APPEND and _type(entry) not in ("REG_MULTI_SZ", None):
            message = f"The flags {entry.flags_text} append to {_name(entry)}, a {_type(entry)}."
            yield Problem(entry.line, message, "Leave 0x8 out, or write 0x00010008 for a REG_MULTI_SZ.")


def inf_1266_registry_multi_delete_empty(case: Inspection) -> Iterator[Problem]:
    """A deletion from a list of strings must say which string."""
    for entry in _lines(case, "delreg"):
        flags = number(case.inf.substitute(entry.value(3))) or 0
        if flags & _MULTI_SZ_DELETE == _MULTI_SZ_DELETE and not any(field.text for field in entry.values[4:]):
            name = case.inf.substitute(entry.value(2))
            message = f"Nothing is named to be deleted from the list {name}."
            yield Problem(entry.line, message, "Name the string after the flags, or leave the line out.")


def inf_1267_registry_bad_binary(case: Inspection) -> Iterator[Problem]:
    """Binary data is a list of bytes in hexadecimal."""
    for entry in case.registry:
        if not entry.flags & _BINARY or entry.flags & _WITHOUT_DATA:
            continue
        if _type(entry) == "REG_NONE" or (_type(entry) in _BITS and not any(entry.data[1:])):
            continue
        wrong = next((text for text in entry.data if text and "%" not in text and not _BYTE.match(text)), None)
        if wrong is not None:
            message = f"The data of {_name(entry)} has {wrong!r}, which is not a byte in hexadecimal."
            yield Problem(entry.line, message, "Write bytes from 00 to FF with commas between them.")


def inf_1268_registry_bad_number(case: Inspection) -> Iterator[Problem]:
    """Flags and numbers are decimal, or hexadecimal after 0x, and fit the width of their type."""
    remedy = "Write a decimal number, or a hexadecimal one after 0x."
    for entry in case.registry:
        if not _fits(entry.flags_text, 32):
            message = f"The flags {entry.flags_text!r} of {_name(entry)} are not a 32-bit number."
            yield Problem(entry.line, message, remedy)
            continue
        bits = _BITS.get(_type(entry) or "")
        if bits is None or not entry.data or any(entry.data[1:]) or entry.flags & _WITHOUT_DATA:
            continue
        if not _fits(entry.data[0], bits):
            message = f"The data {entry.data[0]!r} of {_name(entry)} is not a {bits}-bit number."
            yield Problem(entry.line, message, remedy)


def inf_1431_registry_known_value_type(case: Inspection) -> Iterator[Problem]:
    """A value that Windows reads from a device's hardware key must have the type that Windows expects."""
    hardware = {
        name.lower()
        for directive in case.directives
        if directive.key == "addreg" and directive.section.endswith(".hw")
        for name in case.inf.values(directive.entry)
    }
    for entry in case.registry:
        if entry.root != "HKR" or entry.subkey or entry.in_service or entry.section not in hardware:
            continue
        expected, found = _WELL_KNOWN.get(entry.value.lower()), _type(entry)
        if expected is None or found is None or found == expected or entry.flags & _WITHOUT_DATA:
            continue
        if _fits(entry.flags_text, 32) and "%" not in entry.flags_text:
            message = f"{entry.value} is written as {found}; Windows expects {expected}."
            flags = next(flags for flags, name in _TYPES.items() if name == expected)
            yield Problem(entry.line, message, f"Write the flags {flags:#010x}.")


def _type(entry: RegistryEntry) -> str | None:
    return _TYPES.get(entry.flags & 0xFFFF0001)


def _name(entry: RegistryEntry) -> str:
    return f"the value {entry.value}" if entry.value else "the default value"


def _fits(text: str, bits: int) -> bool:
    """The text is a number of so many bits. No text is 0; a token without a string is a matter of code 1235."""
    if not text or "%" in text:
        return True
    return _NUMBER.match(text) is not None and (number(text) or 0) < 1 << bits


def _lines(case: Inspection, key: str) -> Iterator[Entry]:
    """The lines of the sections that the directives of a key name, each section once."""
    seen: set[str] = set()
    for directive in case.directives:
        if directive.key == key:
            for name in case.inf.values(directive.entry):
                if name.lower() not in seen:
                    seen.add(name.lower())
                    yield from case.inf.entries(name)


RULES = {
    1262: inf_1262_registry_bitmask_not_byte,
    1263: inf_1263_registry_custom_type_clash,
    1264: inf_1264_registry_custom_type_flag,
    1265: inf_1265_registry_append_non_multi,
    1266: inf_1266_registry_multi_delete_empty,
    1267: inf_1267_registry_bad_binary,
    1268: inf_1268_registry_bad_number,
    1431: inf_1431_registry_known_value_type,
}
