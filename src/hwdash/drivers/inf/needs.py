"""Include and Needs: sections that are processed as if they were part of another section.

Sources: install/inf-ddinstall-section.md and facts/inf/inf_grammar.yaml. ``Needs`` names sections, ``Include`` the INFs
of Windows that hold them. Those INFs are not here to be read; a needed section that this INF has itself is.
"""

from typing import NamedTuple

from hwdash.drivers.errors import LimitExceeded
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.lexer import Entry

MAX_NEEDED = 1000
"""Sections that one section may lean on, directly or not."""


class Include(NamedTuple):
    """``section`` includes the INF called ``file``."""

    section: str
    file: str
    line: int


class Need(NamedTuple):
    """``section`` is completed by the section called ``name``. Unless ``is_here``, one of the INFs ``included`` by the
    same section has to have it.
    """

    section: str
    name: str
    included: tuple[str, ...]
    is_here: bool
    line: int


class Resolved(NamedTuple):
    """A section with all that it needs from this INF.

    ``sections`` are the names of those that count, itself first, and ``entries`` theirs in that order; ``needs`` are
    all their needs, also those that only another INF can meet.
    """

    sections: tuple[str, ...]
    entries: tuple[Entry, ...]
    needs: tuple[Need, ...]

    def keyed(self, inf: Inf, key: str) -> list[Entry]:
        """The entries found by a key, in order."""
        return [entry for section in self.sections for entry in inf.entries(section, key)]


def includes(inf: Inf) -> list[Include]:
    """Every INF that a section includes, in order."""
    return [found for section in _leaning_sections(inf) for found in includes_of(inf, section)]


def needs(inf: Inf) -> list[Need]:
    """Every section that a section needs, in order."""
    return [found for section in _leaning_sections(inf) for found in _needs_of(inf, section)]


def resolved(inf: Inf, section: str) -> Resolved:
    """A section and those that it needs, each once, as deep as they go within this INF.

    The section's own entries come first, then those of the first section that it needs with all that this one needs,
    and so on. Raises LimitExceeded beyond ``MAX_NEEDED`` sections.
    """
    names: dict[str, None] = {}
    all_needs: list[Need] = []
    waiting = [section]
    while waiting:
        found = inf.section(waiting.pop())
        if found is None or found.name in names:
            continue
        names[found.name] = None
        if len(names) > MAX_NEEDED:
            raise LimitExceeded(f"[{section}] needs more than {MAX_NEEDED} sections", source=inf.source)
        needed = _needs_of(inf, found.name)
        all_needs += needed
        waiting += [need.name for need in reversed(needed) if need.is_here]
    entries = [entry for name in names for entry in inf.entries(name)]
    return Resolved(tuple(names), tuple(entries), tuple(all_needs))


def _leaning_sections(inf: Inf) -> list[str]:
    """The sections that may have these directives: in strings a key of that name is a token."""
    names = (section.name for section in inf.sections)
    return [name for name in names if name.lower().partition(".")[0] != "strings"]


def includes_of(inf: Inf, section: str) -> list[Include]:
    """The INFs that one section includes, in order."""
    return [
        Include(section, file, entry.line)
        for entry in inf.entries(section, "Include")
        if entry.key is not None
        for file in inf.values(entry)
        if file
    ]


def _needs_of(inf: Inf, section: str) -> list[Need]:
    entries = [entry for entry in inf.entries(section, "Needs") if entry.key is not None]
    included = tuple(found.file for found in includes_of(inf, section)) if entries else ()
    return [
        Need(section, name, included, inf.section(name) is not None, entry.line)
        for entry in entries
        for name in inf.values(entry)
        if name
    ]
