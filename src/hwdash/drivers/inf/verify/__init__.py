"""The rules an INF is judged by: one rule, one function, its InfVerif code in its name.

Source: devtest/inf-validation-errors-and-warnings.md and devtest/running-infverif-from-the-command-line.md.
``codes.json`` holds all 202 documented codes with their level in each mode; ``RULES`` those that are judged here.
A rule speaks only where the text of the INF alone proves it right: what an included inbox INF could settle passes.
"""

import json
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from hwdash.drivers.errors import ParseError
from hwdash.drivers.findings import Finding, Level
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.verify import (
    conflicts,
    copying,
    devices,
    directives,
    dirids,
    display,
    events,
    frameworks,
    included,
    legacy,
    network,
    primitive,
    registry,
    registry_data,
    sections,
    services,
    software,
    version_section,
)
from hwdash.drivers.inf.verify.coverage import INFERRED
from hwdash.drivers.inf.verify.inspection import Inspection, Problem

Mode = Literal["declarative", "universal", "windows"]
"""InfVerif's /k, /u and /w."""

Rule = Callable[[Inspection], Iterator[Problem]]


MAX_PROBLEMS = 1000
"""Findings that one rule may give: more help nobody, and a hostile INF could have a million."""


class Code(NamedTuple):
    """A documented InfVerif code. A level is None in a mode that does not report the code."""

    slug: str
    meaning: str
    declarative: Level | None
    universal: Level | None
    windows: Level | None

    def level(self, mode: Mode) -> Level | None:
        """The level in a mode."""
        return {"declarative": self.declarative, "universal": self.universal, "windows": self.windows}[mode]


CODES: dict[int, Code] = {
    int(number): Code(**code)
    for number, code in json.loads((Path(__file__).parent / "codes.json").read_bytes()).items()
}
"""Every documented code, by number."""

RULES: dict[int, Rule] = {
    **version_section.RULES,
    **devices.RULES,
    **primitive.RULES,
    **services.RULES,
    **copying.RULES,
    **registry.RULES,
    **directives.RULES,
    **sections.RULES,
    **included.RULES,
    **dirids.RULES,
    **legacy.RULES,
    **registry_data.RULES,
    **conflicts.RULES,
    **frameworks.RULES,
    **events.RULES,
    **software.RULES,
    **network.RULES,
    **display.RULES,
}
"""The rules that are judged, by code."""


def verify(inf: Inf, *, mode: Mode, provider: str | None = None, files: Collection[str] | None = None) -> list[Finding]:
    """What InfVerif's codes have to say about an INF in one mode, by line, then by code (lower is more serious).

    ``provider`` is what the INF's Provider must be (InfVerif's /provider). ``files`` are the paths of the files in the
    INF's folder, relative to it; None when they are not known: then nothing is said about them.
    A finding's rule is ``inf.`` and the code. A file that is no driver INF at all (1001) gets that finding alone.
    """
    inspection = Inspection(inf, provider=provider, files=files)
    not_a_driver = list(version_section.inf_1001_not_a_driver_inf(inspection))
    if not_a_driver:
        return [*inf.findings, *(_finding(inf, 1001, "error", problem) for problem in not_a_driver)]
    found: dict[tuple[int, int, str], Finding] = {}
    for code, rule in RULES.items():
        level = CODES[code].level(mode)
        if level is not None:
            for problem in islice(rule(inspection), MAX_PROBLEMS):
                found.setdefault((problem.line or 0, code, problem.message), _finding(inf, code, level, problem))
    return [*inf.findings, *(found[place] for place in sorted(found))]


def syntax_error(error: ParseError) -> Finding:
    """The finding for an INF that cannot be parsed (1002)."""
    remedy = "Correct the line; the other rules can be judged only then."
    message = error.message[:1].upper() + error.message[1:] + "."
    return Finding("inf.1002", "error", message, remedy, error.source, error.line)


def is_extension(inf: Inf) -> bool:
    """The INF is an extension INF: its class is Extension."""
    return inf.version.is_extension


def is_declarative(inf: Inf) -> bool:
    """The INF is declarative: no error in declarative mode (dashboard/get-product-data.md)."""
    return not any(finding.level == "error" for finding in verify(inf, mode="declarative"))


def _finding(inf: Inf, code: int, level: Level, problem: Problem) -> Finding:
    return Finding(
        f"inf.{code}",
        level,
        problem.message,
        problem.remedy,
        inf.source,
        problem.line,
        inferred=problem.inferred or code in INFERRED,
    )
