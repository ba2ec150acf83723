"""Rules on Include and Needs, as far as this INF alone decides them (install/inf-ddinstall-section.md).

What an included INF of Windows holds is not known here: only names, and what is in this INF, are judged.
"""

from collections import defaultdict, deque
from collections.abc import Iterator
from typing import NamedTuple

from hwdash.drivers.inf.verify.inspection import Inspection, Problem
from hwdash.drivers.inf.verify.outline import SUFFIXES

_SUFFIXES = frozenset(suffix.lower() for suffix in SUFFIXES)


class _Need(NamedTuple):
    """``section`` needs the section ``target``, which stands in this INF when ``is_here``."""

    section: str
    target: str
    is_here: bool
    line: int


def inf_1202_include_not_found(case: Inspection) -> Iterator[Problem]:
    """Only INFs of Windows may be included: none of the package."""
    own = {case.inf.source.replace("\\", "/").rpartition("/")[2].lower()}
    own |= {name for name in case.files or () if "/" not in name}
    for placed in case.outline.directives:
        if placed.syntax is not None and placed.syntax.name == "CopyINF":
            own |= {name.lower() for name in placed.values}
    for placed in case.outline.directives:
        if placed.syntax is not None and placed.syntax.name == "Include":
            for name in placed.values:
                if name and name.lower() in own:
                    message = f"[{placed.section.name}] includes {name}, which is an INF of the package."
                    yield Problem(placed.entry.line, message, "Include INFs of Windows only; move its sections here.")


def inf_1310_needs_suffix_differs_first(case: Inspection) -> Iterator[Problem]:
    """What is needed by way of another section is like the section that began."""
    for first, need in _indirect(case):
        if _suffix(need.target) and _suffix(need.target) != _suffix(first):
            message = f"[{need.target}] is needed by [{first}] by way of [{need.section}]; their suffixes differ."
            yield Problem(need.line, message, f"Need a section whose name ends in .{_suffix(first) or 'nothing else'}.")


def inf_1311_needs_suffix_missing_first(case: Inspection) -> Iterator[Problem]:
    """What is needed by way of another section has the suffix of the section that began."""
    for first, need in _indirect(case):
        if need.is_here and _suffix(first) and not _suffix(need.target):
            message = f"[{need.target}] is needed by [{first}] by way of [{need.section}] and lacks its suffix."
            yield Problem(need.line, message, f"Need a section whose name ends in .{_suffix(first)}.")


def inf_1312_needs_suffix_differs_parent(case: Inspection) -> Iterator[Problem]:
    """A section needs sections of its own kind."""
    for need in _needs(case):
        if _suffix(need.target) and _suffix(need.target) != _suffix(need.section):
            message = f"[{need.section}] needs [{need.target}], which is a section of another kind by its suffix."
            yield Problem(need.line, message, f"Write this Needs in a section that ends in .{_suffix(need.target)}.")


def inf_1313_needs_suffix_missing_parent(case: Inspection) -> Iterator[Problem]:
    """What a section with a suffix needs of this INF has that suffix. (Some sections of Windows' own INFs do not.)"""
    for need in _needs(case):
        if need.is_here and _suffix(need.section) and not _suffix(need.target):
            message = f"[{need.section}] needs [{need.target}], which lacks the suffix .{_suffix(need.section)}."
            yield Problem(need.line, message, f"Need [{need.target}.{_suffix(need.section)}] or the like.")


def inf_1315_needs_not_found(case: Inspection) -> Iterator[Problem]:
    """Where no INF is included, what is needed is in this one."""
    if not _includes(case):
        for need in _needs(case):
            if not need.is_here:
                message = f"[{need.section}] needs [{need.target}], which is not in this INF; it includes no other."
                yield Problem(need.line, message, "Add the Include of the INF that has it, or correct the name.")


def inf_1319_needs_include_missing(case: Inspection) -> Iterator[Problem]:
    """A section that needs one of another INF includes that INF itself."""
    if _includes(case):
        for need in _needs(case):
            if not need.is_here and not case.inf.entries(need.section, "Include"):
                message = f"[{need.section}] needs [{need.target}] of another INF and includes none."
                yield Problem(need.line, message, "Write the Include into the same section.")


def _includes(case: Inspection) -> bool:
    return any(case.inf.entries(section.name, "Include") for section in case.inf.sections)


def _needs(case: Inspection) -> Iterator[_Need]:
    for placed in case.outline.directives:
        if placed.syntax is not None and placed.syntax.name == "Needs":
            for target in placed.values:
                if target:
                    yield _Need(placed.section.name, target, _is_here(case, target), placed.entry.line)


def _is_here(case: Inspection, name: str) -> bool:
    """The section is in this INF, plain or decorated."""
    decorations = ("", ".nt", ".ntx86", ".ntamd64", ".ntarm", ".ntarm64", ".ntia64")
    return any(case.inf.section(name + decoration) is not None for decoration in decorations)


def _suffix(name: str) -> str:
    suffix = name.lower().rpartition(".")[2] if "." in name else ""
    return suffix if suffix in _SUFFIXES else ""


def _indirect(case: Inspection) -> Iterator[tuple[str, _Need]]:
    """Needs of sections that are needed themselves, with the section that began. One beginning for each suffix is
    enough, so each section is seen once for each suffix."""
    needs: dict[str, list[_Need]] = defaultdict(list)
    for need in _needs(case):
        needs[need.section.lower()].append(need)
    needed = {need.target.lower() for found in needs.values() for need in found}
    seen = set()
    for begun in [found[0].section for name, found in needs.items() if name not in needed]:
        waiting = deque(need.target for need in needs[begun.lower()])
        while waiting:
            place = (waiting.popleft().lower(), _suffix(begun))
            if place not in seen:
                seen.add(place)
                for need in needs.get(place[0], ()):
                    yield begun, need
                    waiting.append(need.target)


RULES = {
    1202: inf_1202_include_not_found,
    1310: inf_1310_needs_suffix_differs_first,
    1311: inf_1311_needs_suffix_missing_first,
    1312: inf_1312_needs_suffix_differs_parent,
    1313: inf_1313_needs_suffix_missing_parent,
    1315: inf_1315_needs_not_found,
    1319: inf_1319_needs_include_missing,
}
