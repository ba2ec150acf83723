"""The sections that an INF installs by, what kind each is, and what its directives say and refer to.

``directives.json`` gives for each kind of section the directives that it may have (install/inf-*-section.md,
inf-*-directive.md): their fields, each ``label:type`` with ``?`` after the label of an optional one and ``...`` after
the last when it repeats; which of them may stand there only once, and which must. Directives that only some class of
devices knows are not in it, so an entry without a syntax is no fault.
"""

import json
import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.lexer import Entry, Section

MAX_READ = 400_000
"""Entries that are looked at, those of a section once for each kind that it serves as: as many as an INF may have."""

SUFFIXES = (
    "HW",
    "CoInstallers",
    "LogConfigOverride",
    "FactDef",
    "Services",
    "Interfaces",
    "WMI",
    "Events",
    "Components",
    "Software",
    "Filters",
    "COM",
    "WDF",
)
"""What may follow the name of an install section, and is the kind of the section so named."""

_FIELD = re.compile(r"(?P<label>[^:?]+)(?P<optional>\?)?:(?P<type>\w+)(?: (?P<rest>[^.]+))?(?P<repeats>\.\.\.)?\Z")


class FieldSyntax(NamedTuple):
    """A field of a directive. ``type`` is text, number, flags, word, security or section; ``allowed`` the numbers or
    words it may be, the mask of its flags, or the kind of the section."""

    label: str
    type: str
    allowed: str
    is_optional: bool


class Syntax(NamedTuple):
    """The fields of a directive; the last one may ``repeat``."""

    name: str
    fields: tuple[FieldSyntax, ...]
    repeats: bool

    @property
    def fewest(self) -> int:
        """Fields up to the last that is not optional."""
        return max((number for number, field in enumerate(self.fields, 1) if not field.is_optional), default=0)

    def field(self, index: int) -> FieldSyntax | None:
        """The syntax of the field at an index from 0; None past the end."""
        if index < len(self.fields):
            return self.fields[index]
        return self.fields[-1] if self.repeats else None


class SectionKind(NamedTuple):
    """What a kind of section may have. Directives and ``once`` are by lower-case name."""

    name: str
    directives: dict[str, Syntax]
    once: frozenset[str]
    required: tuple[str, ...]


class Placed(NamedTuple):
    """A directive of a section that is installed by. ``values``, at least one, have their tokens replaced. ``syntax``
    is None where this kind of section does not have such a directive."""

    kind: SectionKind
    section: Section
    entry: Entry
    values: list[str]
    syntax: Syntax | None


class Reference(NamedTuple):
    """A section that a directive in ``section`` names, whether it exists or not. ``kind`` is what the directive takes
    it for."""

    target: str
    kind: str
    directive: str
    entry: Entry
    section: str


def _syntax(name: str, text: str) -> Syntax:
    fields = []
    repeats = False
    for part in text.split(", "):
        match = _FIELD.match(part)
        if match is None:
            raise ValueError(f"directives.json: {name}: not a field: {part!r}")
        fields.append(FieldSyntax(match["label"], match["type"], match["rest"] or "", match["optional"] is not None))
        repeats = match["repeats"] is not None
    return Syntax(name, tuple(fields), repeats)


KINDS: dict[str, SectionKind] = {
    kind: SectionKind(
        kind,
        {name.lower(): _syntax(name, text) for name, text in parts["directives"].items()},
        frozenset(name.lower() for name in parts.get("once", ())),
        tuple(parts.get("required", ())),
    )
    for kind, parts in json.loads((Path(__file__).parent / "directives.json").read_bytes()).items()
}
"""What each kind of section may have."""

HOMES: dict[str, tuple[str, ...]] = {
    name: tuple(kind.name for kind in KINDS.values() if name in kind.directives)
    for name in sorted({name for kind in KINDS.values() for name in kind.directives})
}
"""The kinds of sections that a directive may stand in, by its lower-case name."""


class Outline:
    """Every section that can be reached from the ``roots``, given as names and kinds, once for each kind it serves as.

    ``directives`` are the entries whose key is that of a known directive. Sections are read breadth first, until
    ``MAX_READ`` entries have been: a hostile INF could have each section serve as every kind.
    """

    def __init__(self, inf: Inf, roots: Iterable[tuple[str, str]]) -> None:
        self.sections: list[tuple[SectionKind, Section]] = []
        self.directives: list[Placed] = []
        self.references: list[Reference] = []
        waiting: deque[tuple[Section, SectionKind]] = deque()
        seen: set[tuple[str, str]] = set()

        def visit(name: str, kind_name: str) -> None:
            place = (name.lower(), kind_name)
            section, kind = inf.section(name), KINDS.get(kind_name)
            if section is not None and kind is not None and place not in seen:
                seen.add(place)
                waiting.append((section, kind))

        for name, kind_name in roots:
            visit(name, kind_name)
        read = 0
        while waiting and read <= MAX_READ:
            section, kind = waiting.popleft()
            self.sections.append((kind, section))
            read += len(section.entries)
            for entry in section.entries:
                if entry.key is None:
                    continue
                key = _key(inf, entry.key, kind)
                syntax = kind.directives.get(key)
                if syntax is None and key not in HOMES:
                    continue
                placed = Placed(kind, section, entry, inf.values(entry), syntax)
                self.directives.append(placed)
                for reference in _references(placed):
                    self.references.append(reference)
                    visit(reference.target, reference.kind)


def _key(inf: Inf, key: str, kind: SectionKind) -> str:
    key = inf.substitute(key).lower()
    # CatalogFile.NTamd64 and the like
    return key.partition(".")[0] if kind.name == "version" else key


def _references(placed: Placed) -> Iterable[Reference]:
    syntax = placed.syntax
    if syntax is None:
        return
    for index, value in enumerate(placed.values):
        field = syntax.field(index)
        if field is None:
            return
        if field.type == "section" and value and value[0] != "@":
            kind = placed.kind.name if field.allowed == "needed" else field.allowed
            yield Reference(value, kind, syntax.name, placed.entry, placed.section.name)
