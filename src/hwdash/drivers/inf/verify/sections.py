"""Rules on what refers to which section, and on names within one (install/general-syntax-rules-for-inf-files.md)."""

from collections.abc import Iterator

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.verify.inspection import Inspection, Problem
from hwdash.drivers.inf.verify.outline import Reference

_LISTS = {
    "registry": "registry",
    "bits": "bit field",
    "properties": "property",
    "files": "file",
    "ini lines": "INI",
    "ini fields": "INI field",
    "ini to registry": "INI to registry",
    "DLLs": "DLL",
    "profile items": "profile item",
    "log configuration": "log configuration",
}
"""Kinds of sections whose lines have one meaning only."""

# Windows, its class installers and the framework's co-installers find these by their names.
_FOUND_BY_NAME = frozenset(
    {
        "version",
        "strings",
        "manufacturer",
        "sourcedisksnames",
        "sourcedisksfiles",
        "destinationdirs",
        "controlflags",
        "signatureattributes",
        "classinstall32",
        "interfaceinstall32",
        "deviceinstall32",
        "defaultinstall",
        "defaultuninstall",
        "printerpackageinstallation",
        "previous names",
        "oem urls",
        "optional components",
    }
)
_MAX_NAME = 255  # install/general-syntax-rules-for-inf-files.md


def inf_1205_section_shared_by_directives(case: Inspection) -> Iterator[Problem]:
    """A section serves one directive."""
    for first, second in _clashes(case):
        if first.kind == second.kind:
            message = (
                f"The section [{second.target}] is named by {second.directive} and by {first.directive}, "
                f"line {first.entry.line}."
            )
            yield Problem(second.entry.line, message, "Give each directive a section of its own.")


def inf_1206_section_wrong_kind(case: Inspection) -> Iterator[Problem]:
    """A section has lines of one kind."""
    for first, second in _clashes(case):
        if first.kind != second.kind and _LISTS.keys() & {first.kind, second.kind}:
            message = (
                f"{second.directive} names [{second.target}], which is a {_LISTS.get(first.kind, first.kind)} section "
                f"by {first.directive}, line {first.entry.line}."
            )
            yield Problem(second.entry.line, message, "Name a section with the right lines.")


def inf_1294_duplicate_value(case: Inspection) -> Iterator[Problem]:
    """Strings, disks and source files are named once in their section."""
    for section in case.inf.sections:
        what = _NAMED_ONCE.get(section.name.lower().partition(".")[0])
        if what is None:
            continue
        lines: dict[str, int] = {}
        for entry in section.entries:
            name = entry.name if what == "string" else case.inf.substitute(entry.name)
            first = lines.setdefault(name.lower(), entry.line)
            if name and first != entry.line:
                message = f"The {what} {name} stands in [{section.name}] before, in line {first}."
                yield Problem(entry.line, message, "Keep one of the two lines.")


def inf_1295_strings_count_differs(case: Inspection) -> Iterator[Problem]:
    """Every language has the same strings."""
    tables = [case.inf.section(name) for name in ("Strings", *case.inf.languages.values())]
    present = [table for table in tables if table is not None]
    # Names, not lines, are counted: a name written twice is another matter (1294).
    expected = dict.fromkeys(entry.name.lower() for entry in present[0].entries) if present else {}
    for table in present[1:]:
        names = dict.fromkeys(entry.name.lower() for entry in table.entries)
        if len(names) != len(expected):
            short, long = (names, expected) if len(names) < len(expected) else (expected, names)
            example = next(name for name in long if name not in short)
            message = (
                f"[{table.name}] has {len(names)} strings and [{present[0].name}] {len(expected)}; {example!r} is in "
                "one of them only."
            )
            yield Problem(table.line, message, "Define the same strings in every language.")


def inf_2083_section_unused(case: Inspection) -> Iterator[Problem]:
    """Every section is named by some directive, or known to Windows by its name."""
    named = _mentioned(case.inf)
    for section in case.inf.sections:
        name = section.name.lower()
        if not name.strip() or name.partition(".")[0] in _FOUND_BY_NAME:
            continue
        if not any(prefix in named for prefix in _prefixes(name)):
            message = f"Nothing in the INF names the section [{section.name}]."
            yield Problem(section.line, message, "Remove it, or correct the directive that is to name it.")


_NAMED_ONCE = {"strings": "string", "sourcedisksnames": "disk", "sourcedisksfiles": "file"}


def _clashes(case: Inspection) -> Iterator[tuple[Reference, Reference]]:
    """References to a section by another directive than the first that names it."""
    first: dict[str, Reference] = {}
    seen: set[tuple[str, str]] = set()
    for reference in case.outline.references:
        target = reference.target.lower()
        before = first.setdefault(target, reference)
        if before.directive != reference.directive and (target, reference.directive) not in seen:
            seen.add((target, reference.directive))
            if "Needs" not in (before.directive, reference.directive):
                yield before, reference


def _mentioned(inf: Inf) -> set[str]:
    """All that could be the name of a section, in lower case: every value but the data of the registry and strings."""
    found: set[str] = set()
    for section in inf.sections:
        if section.name.lower().partition(".")[0] == "strings":
            continue
        for entry in section.entries:
            if entry.key is None and entry.value(0)[:2].upper() == "HK":
                continue
            found.update(inf.substitute(field.text).lower() for field in entry.values)
    return found


def _prefixes(name: str) -> Iterator[str]:
    """A name and its beginnings before each dot, longest first: ``a.nt.services``, ``a.nt``, ``a``."""
    yield name
    while "." in name and len(name) <= _MAX_NAME:
        name = name.rpartition(".")[0]
        yield name


RULES = {
    1205: inf_1205_section_shared_by_directives,
    1206: inf_1206_section_wrong_kind,
    1294: inf_1294_duplicate_value,
    1295: inf_1295_strings_count_differs,
    2083: inf_2083_section_unused,
}
