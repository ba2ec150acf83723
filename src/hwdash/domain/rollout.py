"""The gradual rollout of a shipping label: to how many machines it is offered, and when.

Two clocks run from its first day on: the share of the machines grows by the account's phases, and the label is watched
for ``watch_days``; a pause stops both (contract/dashboard.md 128 to 134). A day is 24 hours since the start, and the
first one is day 1. Nothing here reads a clock: all of it follows from what is stored and a time.

A co-engineered driver flies instead: it is offered to Insider machines for sixty days, and then to none. It never goes
to the public (contract/dashboard.md 119). A pause does not lengthen a flight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any


class Wish(StrEnum):
    """What may be asked of a rollout."""

    PAUSE = "pause"
    RESUME = "resume"
    FINALIZE = "finalize"


Phases = tuple[tuple[int, int], ...]
"""(percent of the machines, day from which on), in order."""

LONGEST_WATCH_DAYS = 3650
FLIGHT_DAYS = 60
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout as ``shipping_labels.rollout`` has it."""

    phases: Phases
    watch_days: int
    started_at: datetime
    paused_at: datetime | None = None
    paused_seconds: float = 0.0
    """Of the pauses that are over."""
    pause_reason: str = ""
    is_finalized: bool = False
    is_flight: bool = False
    """It is of a co-engineered driver, and its end is the end of all offers."""

    @classmethod
    def flight(cls, now: datetime) -> "Rollout":
        """The flight of a co-engineered driver, from now on."""
        return cls(((100, 1),), FLIGHT_DAYS, now, is_flight=True)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Rollout":
        """Read what ``to_json`` wrote."""
        paused_at = stored["pausedAt"]
        return cls(
            phases=tuple((percent, day) for percent, day in stored["phases"]),
            watch_days=stored["watchDays"],
            started_at=datetime.fromisoformat(stored["startedAt"]),
            paused_at=None if paused_at is None else datetime.fromisoformat(paused_at),
            paused_seconds=stored["pausedSeconds"],
            pause_reason=stored["pauseReason"],
            is_finalized=stored["isFinalized"],
            is_flight=stored.get("isFlight", False),
        )

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return {
            "phases": [list(each) for each in self.phases],
            "watchDays": self.watch_days,
            "startedAt": self.started_at.isoformat(),
            "pausedAt": None if self.paused_at is None else self.paused_at.isoformat(),
            "pausedSeconds": self.paused_seconds,
            "pauseReason": self.pause_reason,
            "isFinalized": self.is_finalized,
            "isFlight": self.is_flight,
        }

    @property
    def days(self) -> int:
        """How many days it takes: those of the watch, or more where the last phase begins after them."""
        return max(self.watch_days, self.phases[-1][1] - 1)

    def day_at(self, now: datetime) -> int:
        """Which day it is, without the time of the pauses."""
        return max(0, self._passed(now) // _DAY) + 1

    def percent_at(self, now: datetime) -> int:
        """The share of the machines that are offered the label: 0 while it is paused, and when a flight has ended."""
        if self.is_flight and self.is_over_at(now):
            return 0
        if self.is_finalized:
            return 100
        if self.paused_at is not None:
            return 0
        return self._percent_of(self.day_at(now))

    def is_over_at(self, now: datetime) -> bool:
        """Has it run its time, or been finalized?"""
        return self.is_finalized or (not self._stands_still and self._passed(now) >= self.days * _DAY)

    def next_change_at(self, now: datetime) -> datetime | None:
        """When the next day begins; None while it is paused or over."""
        if self._stands_still or self.is_over_at(now):
            return None
        return now - self._passed(now) + self.day_at(now) * _DAY

    def message_at(self, now: datetime) -> str:
        """What its owner reads."""
        day = f"day {min(self.day_at(now), self.days)} of {self.days}"
        what = "Flight to Insider machines" if self.is_flight else "Gradual rollout"
        if self.paused_at is None:
            return f"{what}: {day}" if self.is_flight else f"{what}: {self.percent_at(now)} %, {day}"
        return f"{what}: paused, 0 %, {day}" + (f": {self.pause_reason}" if self.pause_reason else "")

    def pause(self, now: datetime, reason: str = "") -> "Rollout":
        """Offer it to no machine from now on."""
        return self if self.paused_at is not None else replace(self, paused_at=now, pause_reason=reason)

    def resume(self, now: datetime) -> "Rollout":
        """Go on where it was paused: what is left takes as long as it would have."""
        if self.paused_at is None:
            return self
        paused = self.paused_seconds + max(0.0, (now - self.paused_at).total_seconds())
        return replace(self, paused_at=None, paused_seconds=paused, pause_reason="")

    def finalize(self, now: datetime) -> "Rollout":
        """Offer it to every machine, and watch it no longer."""
        return replace(self.resume(now), is_finalized=True)

    @property
    def _stands_still(self) -> bool:
        return self.paused_at is not None and not self.is_flight

    def _passed(self, now: datetime) -> timedelta:
        if self.is_flight:
            return now - self.started_at
        return (self.paused_at or now) - self.started_at - timedelta(seconds=self.paused_seconds)

    def _percent_of(self, day: int) -> int:
        return max((percent for percent, first_day in self.phases if first_day <= day), default=0)


def is_co_engineered(specifications: Mapping[str, Any], targeting: Mapping[str, Any]) -> bool:
    """Is a label of a co-engineered driver? By its own word, or because it names builds that are not released."""
    info = specifications.get("additionalInfoForMsApproval") or {}
    builds = targeting.get("coEngDriverPublishInfo") or {}
    return bool(info.get("isCoEngineered") or any(builds.values()))


def fulfilled(stored: Mapping[str, Any], now: datetime) -> Rollout:
    """The rollout after what was asked for and is not yet done: ``wish`` beside what ``to_json`` wrote."""
    rollout, asked = Rollout.of(stored), stored.get("wish", {})
    match asked.get("what"):
        case Wish.PAUSE:
            return rollout.pause(now, asked["reason"])
        case Wish.RESUME:
            return rollout.resume(now)
        case Wish.FINALIZE:
            return rollout.finalize(now)
    return rollout


def percent_at(stored: Mapping[str, Any] | None, now: datetime) -> int:
    """To how many machines in a hundred a run of a label is offered, by ``shipping_labels.rollout``: 100 without a
    gradual rollout.
    """
    return 100 if stored is None else fulfilled(stored, now).percent_at(now)


def check_phases(phases: Sequence[tuple[int, int]], watch_days: int) -> list[str]:
    """What is wrong with the phases of a policy, all of it."""
    found = []
    if not phases:
        found.append("a rollout needs at least one phase")
    found += [
        f"{percent}:{day}: the percentage must be 1 to 100, the day 1 to {LONGEST_WATCH_DAYS}"
        for percent, day in phases
        if not (1 <= percent <= 100 and 1 <= day <= LONGEST_WATCH_DAYS)
    ]
    if phases and phases[0][1] != 1:
        found.append(f"{phases[0][0]}:{phases[0][1]}: the first phase begins on day 1")
    if phases and phases[-1][0] != 100:
        found.append(f"{phases[-1][0]}:{phases[-1][1]}: the last phase is of 100 percent")
    found += [
        f"{later[0]}:{later[1]}: each phase has more percent and a later day than the one before"
        for earlier, later in pairwise(phases)
        if not (earlier[0] < later[0] and earlier[1] < later[1])
    ]
    if not 0 <= watch_days <= LONGEST_WATCH_DAYS:
        found.append(f"{watch_days}: the days of the watch must be 0 to {LONGEST_WATCH_DAYS}")
    return found
