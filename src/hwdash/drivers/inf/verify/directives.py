"""Rules on the fields of directives and on what stands in which section (install/inf-*-directive.md, -section.md).

What a directive must say is data: see ``outline``.
"""

import re
from collections.abc import Iterator

from hwdash.drivers.inf.verify.inspection import Inspection, Problem, number
from hwdash.drivers.inf.verify.outline import HOMES, FieldSyntax, Placed

_SECURITY = re.compile(r"[OGDS]:", re.IGNORECASE)
_OWN_HOME = ("add", "update", "umdfservice", "kmdfservice")
_SERVICE_VALUES = {
    "servicetype": frozenset({1, 2, 4, 8, 0x10, 0x20, 0x50, 0x60, 0x110, 0x120, 0xD0, 0xE0}),
    "starttype": frozenset(range(5)),
    "errorcontrol": frozenset(range(4)),
}
_LIBRARY_VERSION = {"umdfservice": "UmdfLibraryVersion", "kmdfservice": "KmdfLibraryVersion"}


def inf_1005_section_argument_missing(case: Inspection) -> Iterator[Problem]:
    """A directive that works by a section must name one."""
    for placed, index, field in _missing(case):
        if field.type == "section" and (index < len(placed.values) or index == 0):
            message = f"{placed.entry.key} in [{placed.section.name}] names no {field.label}."
            yield Problem(placed.entry.line, message, "Name the section, or remove the directive.")


def inf_1006_value_missing(case: Inspection) -> Iterator[Problem]:
    """A directive of one value must have it."""
    for placed, index, field in _missing(case):
        if field.type != "section" and index == 0 and _is_single(placed):
            message = f"{placed.entry.key} in [{placed.section.name}] has no value."
            yield Problem(placed.entry.line, message, "Write the value, or remove the directive.")


def inf_1013_required_key_missing(case: Inspection) -> Iterator[Problem]:
    """A service must have its type, start type, error control and binary."""
    yield from _absent(case, services=True)


def inf_1014_required_key_invalid(case: Inspection) -> Iterator[Problem]:
    """A service's type, start type and error control must be numbers that Windows knows."""
    for placed in case.outline.directives:
        allowed = _SERVICE_VALUES.get((placed.entry.key or "").lower())
        value = placed.values[0]
        if placed.kind.name == "service" and allowed is not None and value and number(value) not in allowed:
            message = f"{placed.entry.key} of the service section [{placed.section.name}] is {value!r}."
            known = ", ".join(f"{each:#x}" for each in sorted(allowed))
            yield Problem(placed.entry.line, message, f"Write one of {known}.")


def inf_1080_directive_argument_missing(case: Inspection) -> Iterator[Problem]:
    """A field that a directive needs must not be left empty before others."""
    for placed, index, field in _missing(case):
        if field.type != "section" and index < len(placed.values) and not _is_single(placed):
            message = f"{placed.entry.key} in [{placed.section.name}] has no {field.label}."
            yield Problem(placed.entry.line, message, f"Write the {field.label} as field {index + 1}.")


def inf_1081_directive_argument_invalid(case: Inspection) -> Iterator[Problem]:
    """A field must hold what it is for."""
    for placed, _, field, value in _fields(case):
        problem = None
        if field.type == "word" and value.lower() not in field.allowed.lower().split():
            problem = f"{' or '.join(field.allowed.split())}"
        elif field.type == "number" and number(value) is not None and not _is_allowed(field, value):
            problem = f"one of {', '.join(field.allowed.split())}"
        elif field.type in ("number", "flags") and number(value) is None and not _is_single(placed):
            problem = "a number, decimal or with 0x"
        if problem is not None:
            message = f"{placed.entry.key} in [{placed.section.name}] has the {field.label} {value!r}."
            yield Problem(placed.entry.line, message, f"Write {problem}.")


def inf_1082_directive_argument_invalid_2(case: Inspection) -> Iterator[Problem]:
    """A security descriptor must be one."""
    for placed, _, field, value in _fields(case):
        if field.type == "security" and (not _SECURITY.match(value) or value.count("(") != value.count(")")):
            message = f"{placed.entry.key} in [{placed.section.name}] is not a security descriptor."
            yield Problem(
                placed.entry.line, message, 'Write it in the descriptor language: "D:P(A;;GA;;;SY)" for example.'
            )


def inf_1083_directive_flag_invalid(case: Inspection) -> Iterator[Problem]:
    """Flags must be among those of the directive."""
    for placed, _, field, value in _fields(case):
        if field.type == "flags":
            extra = (number(value) or 0) & ~int(field.allowed, 0)
            if extra:
                message = f"{placed.entry.key} of {placed.values[0]} has flags that it does not know: {extra:#x}."
                yield Problem(placed.entry.line, message, "Take them out.")


def inf_1084_companion_directive_missing(case: Inspection) -> Iterator[Problem]:
    """The section of a framework's service must name the version of the framework's library."""
    for placed in case.outline.directives:
        needed = _LIBRARY_VERSION.get((placed.entry.key or "").lower()) if placed.kind.name == "WDF" else None
        name = placed.values[1] if len(placed.values) > 1 else ""
        if needed is None or case.inf.section(name) is None or case.leans_on_included(name):
            continue
        if case.inf.first(name, needed) is None:
            message = f"{placed.entry.key} {placed.values[0]} needs {needed} in [{name}], which has none."
            yield Problem(placed.entry.line, message, f"Add {needed} = major.minor there.")


def inf_1085_directive_incomplete(case: Inspection) -> Iterator[Problem]:
    """A directive must have all its fields."""
    for placed, index, field in _missing(case):
        if index >= len(placed.values) and index > 0:
            message = f"{placed.entry.key} in [{placed.section.name}] ends before its {field.label}."
            yield Problem(placed.entry.line, message, f"Write the {field.label} as field {index + 1}.")


def inf_1087_exclusive_directives(case: Inspection) -> Iterator[Problem]:
    """A filter has a level or a position."""
    for kind, section in case.outline.sections:
        level = case.inf.first(section.name, "FilterLevel") if kind.name == "filter" else None
        position = case.inf.first(section.name, "FilterPosition")
        if level is not None and position is not None:
            message = f"The filter section [{section.name}] has both FilterLevel and FilterPosition."
            yield Problem(max(level.line, position.line), message, "Keep one of them.")


def inf_1088_duplicate_directive(case: Inspection) -> Iterator[Problem]:
    """What counts once must not say two things. (Microsoft's own samples say the same thing twice.)"""
    seen: dict[tuple[str, str, str], Placed] = {}
    for placed in case.outline.directives:
        if placed.syntax is not None and placed.syntax.name.lower() in placed.kind.once:
            key = case.inf.substitute(placed.entry.key or "")
            first = seen.setdefault((placed.kind.name, placed.section.name, key.lower()), placed)
            if first.values != placed.values:
                message = (
                    f"{key} stands in [{placed.section.name}] with another value before, in line {first.entry.line}; "
                    "only one of them counts."
                )
                yield Problem(placed.entry.line, message, "Keep one of them.")


def inf_1201_extra_value(case: Inspection) -> Iterator[Problem]:
    """What a directive has no field for is ignored."""
    for placed in case.outline.directives:
        syntax = placed.syntax
        if syntax is None or syntax.repeats:
            continue
        extra = [value for value in placed.values[len(syntax.fields) :] if value]
        if extra:
            message = (
                f"{placed.entry.key} in [{placed.section.name}] takes {len(syntax.fields)} and ignores {extra[0]!r}."
            )
            yield Problem(placed.entry.line, message, "Remove what is too much; put a text with a comma in quotes.")


def inf_1260_directive_argument_type(case: Inspection) -> Iterator[Problem]:
    """A directive whose value is a number must have one."""
    for placed, _, field, value in _fields(case):
        if field.type == "number" and _is_single(placed) and number(value) is None and not _is_of_service(placed):
            message = f"{placed.entry.key} in [{placed.section.name}] is {value!r}, which is not a number."
            yield Problem(placed.entry.line, message, "Write a number, decimal or with 0x.")


def inf_1289_directive_missing_in_section(case: Inspection) -> Iterator[Problem]:
    """A section must have what its kind requires."""
    yield from _absent(case, services=False)
    for kind, section in case.outline.sections:
        if kind.name == "filter" and not any(case.inf.entries(section.name, name) for name in kind.directives):
            message = f"The filter section [{section.name}] has neither FilterLevel nor FilterPosition."
            yield Problem(section.line, message, "Add FilterPosition = Upper or Lower, or a FilterLevel.")


def inf_1290_directive_invalid_in_section(case: Inspection) -> Iterator[Problem]:
    """A directive must stand in a section that has such."""
    for placed in case.outline.directives:
        key = (placed.entry.key or "").lower()
        homes = HOMES.get(key, ())
        if placed.syntax is None and len(homes) == 1 and key.startswith(_OWN_HOME):
            message = f"{placed.entry.key} has no effect in [{placed.section.name}]."
            yield Problem(placed.entry.line, message, f"Move it to a section of the kind {homes[0]}.")


def _missing(case: Inspection) -> Iterator[tuple[Placed, int, FieldSyntax]]:
    """The first required field that each directive lacks, with its index."""
    for placed in case.outline.directives:
        if placed.syntax is None or (not placed.values[0] and _is_null_service(placed)):
            continue
        for index, field in enumerate(placed.syntax.fields[: placed.syntax.fewest]):
            if not field.is_optional and (index >= len(placed.values) or not placed.values[index]):
                if not (
                    placed.syntax.repeats and index == len(placed.syntax.fields) - 1 and any(placed.values[index:])
                ):
                    yield placed, index, field
                break


def _fields(case: Inspection) -> Iterator[tuple[Placed, int, FieldSyntax, str]]:
    """Every field that is not empty, with what it should be."""
    for placed in case.outline.directives:
        if placed.syntax is not None:
            for index, value in enumerate(placed.values):
                field = placed.syntax.field(index)
                if field is not None and value:
                    yield placed, index, field, value


def _absent(case: Inspection, *, services: bool) -> Iterator[Problem]:
    for kind, section in case.outline.sections:
        if (kind.name == "service") == services:
            for name in kind.required:
                if not case.inf.entries(section.name, name):
                    message = f"The {kind.name} section [{section.name}] has no {name}."
                    yield Problem(section.line, message, f"Add {name}.")


def _is_single(placed: Placed) -> bool:
    return placed.syntax is not None and len(placed.syntax.fields) == 1


def _is_of_service(placed: Placed) -> bool:
    return placed.kind.name == "service" and (placed.entry.key or "").lower() in _SERVICE_VALUES


def _is_null_service(placed: Placed) -> bool:
    """``AddService = ,2``: the device has no function driver."""
    return placed.syntax is not None and placed.syntax.name == "AddService"


def _is_allowed(field: FieldSyntax, value: str) -> bool:
    return not field.allowed or number(value) in {int(each, 0) for each in field.allowed.split()}


RULES = {
    1005: inf_1005_section_argument_missing,
    1006: inf_1006_value_missing,
    1013: inf_1013_required_key_missing,
    1014: inf_1014_required_key_invalid,
    1080: inf_1080_directive_argument_missing,
    1081: inf_1081_directive_argument_invalid,
    1082: inf_1082_directive_argument_invalid_2,
    1083: inf_1083_directive_flag_invalid,
    1084: inf_1084_companion_directive_missing,
    1085: inf_1085_directive_incomplete,
    1087: inf_1087_exclusive_directives,
    1088: inf_1088_duplicate_directive,
    1201: inf_1201_extra_value,
    1260: inf_1260_directive_argument_type,
    1289: inf_1289_directive_missing_in_section,
    1290: inf_1290_directive_invalid_in_section,
}
