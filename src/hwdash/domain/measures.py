"""Measures: what machines with a driver report, in numbers that pass or fail (contract/dashboard.md 124 to 127).

A measure has a value over a population of machines, a criterion, and a minimum population below which it says nothing.
Those that Microsoft applies to every driver are known; others are given with their criterion. Values are percentages,
or whatever the criterion is in. Whoever measures is outside: the service sees no machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

EARLY_POPULATION = 10


class Verdict(StrEnum):
    """What a result says."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INSUFFICIENT = "data insufficient"


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure and its criterion; one of ``at_least`` and ``at_most`` is there."""

    id: str
    name: str
    at_least: float | None = None
    at_most: float | None = None
    minimum: int = 0
    early_limit: float | None = None
    """A value beyond this fails already with EARLY_POPULATION machines."""

    @property
    def criterion(self) -> str:
        """When it passes, for people."""
        return f"{self.at_least:g} or more" if self.at_least is not None else f"{self.at_most:g} or less"


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """The value of a measure over so many machines."""

    measure: Measure
    value: float
    population: int

    @property
    def verdict(self) -> Verdict:
        """Whether it passes."""
        measure = self.measure
        if self.population >= measure.minimum:
            return Verdict.FAIL if self._is_beyond(measure.at_least, measure.at_most) else Verdict.PASS
        if measure.early_limit is not None and self.population >= EARLY_POPULATION:
            lowest, most = (measure.early_limit, None) if measure.at_least is not None else (None, measure.early_limit)
            if self._is_beyond(lowest, most):
                return Verdict.FAIL
        return Verdict.INSUFFICIENT

    @property
    def message(self) -> str:
        """What its owner reads."""
        measure = self.measure
        what = f"{self.verdict}, {self.value:g} over {self.population} machines"
        return f"Measure {measure.id} ({measure.name}): {what}; it passes with {measure.criterion}."

    def _is_beyond(self, at_least: float | None, at_most: float | None) -> bool:
        return (at_least is not None and self.value < at_least) or (at_most is not None and self.value > at_most)


# Two of them are titled "without" by Microsoft, and are the share with a crash all the same (appendix 5, 13).
SYSTEMIC: Mapping[str, Measure] = {
    each.id: each
    for each in (
        Measure("26387215", "machines where the install completes, %", at_least=95, minimum=100, early_limit=50),
        Measure("26387262", "machines with a PnP error within two days, %", at_most=5, minimum=100, early_limit=50),
        Measure("26118008", "machines with a kernel-mode crash, %", at_most=1, minimum=100),
        Measure("26118015", "machines with a live kernel dump, %", at_most=3, minimum=100),
        # The same under an older id.
        Measure("25739929", "machines with a live kernel dump, %", at_most=3, minimum=100),
    )
}
"""What applies to every driver, by id (contract/dashboard.md 127 and appendix 1)."""
