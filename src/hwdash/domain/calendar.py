"""The release calendar: days on which no driver goes live (contract/dashboard.md 146 and appendix 4).

Windows gets its updates on the second Tuesday of a month. On that day, the day before and the day after nothing goes
live that a person has to approve. Other windows are the operator's: holidays, the start of a feature update; some hold
every driver back. Days are whole ones, of UTC. What has gone live goes on: rollouts and flights are not stopped.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from hwdash.domain.errors import Code, DomainError
from hwdash.domain.targets import Finding

LONGEST_NAME = 200
LONGEST_DAYS = 366
LAST_YEAR = 9000
_DAY = timedelta(days=1)
_TUESDAY = 1


@dataclass(frozen=True, slots=True)
class Window:
    """Days on which drivers are held back, the first and the last of them included."""

    name: str
    first_day: date
    last_day: date
    holds_all: bool = False
    """Every driver; else those that a person has to approve."""
    is_rule: bool = False
    """It follows from the date, and nobody has entered it."""

    def holds(self, day: date, *, needs_approval: bool) -> bool:
        """Does it hold a driver back on this day?"""
        return self.first_day <= day <= self.last_day and (self.holds_all or needs_approval)


@dataclass(frozen=True, slots=True)
class Hold:
    """Until when a driver is held back, and by which windows."""

    until: datetime
    names: Sequence[str]

    @property
    def message(self) -> str:
        """What its owner reads."""
        return f"The release calendar holds it back until {self.until:%FT%TZ}: {', '.join(self.names)}."


def update_window(day: date) -> Window:
    """The window around the second Tuesday of this day's month."""
    first = day.replace(day=1)
    tuesday = first + timedelta(days=(_TUESDAY - first.weekday()) % 7 + 7)
    return Window(f"updates of {tuesday:%Y-%m}", tuesday - _DAY, tuesday + _DAY, is_rule=True)


def update_windows(day: date, months: int) -> Iterator[Window]:
    """Those of this many months, from this day's on."""
    for _ in range(months):
        yield update_window(day)
        day = day.replace(day=28) + timedelta(days=4)


def hold(windows: Iterable[Window], moment: datetime, *, needs_approval: bool) -> Hold | None:
    """What holds back a driver that would go live at this moment; None when nothing does."""
    known = list(windows)
    day, names = moment.astimezone(UTC).date(), []
    while found := _holding([*known, update_window(day)], day, needs_approval):
        names.append(found.name)
        day = found.last_day + _DAY
    return Hold(datetime.combine(day, time(), UTC), names) if names else None


def _holding(windows: Iterable[Window], day: date, needs_approval: bool) -> Window | None:
    return next((each for each in windows if each.holds(day, needs_approval=needs_approval)), None)


def check_window(window: Window, known: Iterable[str]) -> None:
    """May the calendar get this window, beside those of the ``known`` names? Raises DomainError with every finding."""
    name, days = window.name, (window.last_day - window.first_day).days + 1
    found: list[Finding] = []
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        found.append(("name", f"Must be 1 to {LONGEST_NAME} printable characters."))
    elif name.casefold() in {each.casefold() for each in known}:
        found.append(("name", f"There is a window {name} already: remove it first, or choose another name."))
    if not 1 <= days <= LONGEST_DAYS:
        found.append(("lastDay", f"Must be the first day or up to {LONGEST_DAYS - 1} days after it."))
    if window.last_day.year > LAST_YEAR:
        found.append(("lastDay", f"Must be in the year {LAST_YEAR} at the latest."))
    if found:
        raise DomainError(Code.INVALID_INPUT, "The window is not valid.", found)
