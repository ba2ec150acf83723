"""The days on which no driver goes live (contract/dashboard.md 146 and appendix 4)."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwdash.domain.calendar import Window, check_window, hold, update_window, update_windows
from hwdash.domain.errors import DomainError

DOCUMENTED = {
    2024: (8, 12, 11, 8, 13, 10, 8, 12, 9, 7, 11, 9),
    2025: (13, 10, 10, 7, 12, 9, 7, 11, 8, 13, 10, 8),
}
"""The first days of the windows, January to December; each has three."""
WINTER = Window("Winter", date(2026, 12, 18), date(2027, 1, 1), holds_all=True)


@pytest.mark.parametrize("year", DOCUMENTED)
def test_the_windows_around_the_second_tuesday_are_those_of_the_documentation(year: int) -> None:
    found = list(update_windows(date(year, 1, 31), 12))
    assert [each.first_day for each in found] == [
        date(year, month, day) for month, day in enumerate(DOCUMENTED[year], start=1)
    ]
    assert {each.last_day - each.first_day for each in found} == {timedelta(days=2)}


def test_days_are_those_of_utc_and_both_ends_are_in() -> None:
    moments = {
        datetime(2026, 12, 6, 23, 59, tzinfo=UTC): None,
        datetime(2026, 12, 7, tzinfo=UTC): datetime(2026, 12, 10, tzinfo=UTC),
        datetime(2026, 12, 9, 23, 59, tzinfo=UTC): datetime(2026, 12, 10, tzinfo=UTC),
        datetime(2026, 12, 10, tzinfo=UTC): None,
    }
    for moment, until in moments.items():
        found = hold([], moment, needs_approval=True)
        assert (found.until if found else None) == until


def test_windows_that_follow_one_another_are_one_wait_and_each_is_named() -> None:
    monday = Window("Monday after", date(2026, 12, 10), date(2026, 12, 17))
    found = hold([WINTER, monday], datetime(2026, 12, 8, tzinfo=UTC), needs_approval=True)
    assert found is not None
    assert found.until == datetime(2027, 1, 2, tzinfo=UTC)
    assert found.names == ["updates of 2026-12", "Monday after", "Winter"]
    assert found.message == (
        "The release calendar holds it back until 2027-01-02T00:00:00Z: updates of 2026-12, Monday after, Winter."
    )


def test_without_need_of_approval_only_what_holds_every_driver_holds() -> None:
    assert hold([WINTER], datetime(2026, 12, 8, tzinfo=UTC), needs_approval=False) is None
    found = hold([WINTER], datetime(2026, 12, 31, tzinfo=UTC), needs_approval=False)
    assert found is not None
    assert found.until == datetime(2027, 1, 2, tzinfo=UTC)


_DAYS = st.dates(date(2026, 1, 1), date(2027, 12, 31))
_WINDOWS = st.builds(
    lambda day, length, holds_all: Window("w", day, day + timedelta(days=length), holds_all),
    _DAYS,
    st.integers(0, 40),
    st.booleans(),
)


@given(st.lists(_WINDOWS, max_size=8), _DAYS, st.booleans())
def test_it_is_held_on_every_day_until_the_first_free_one(
    windows: list[Window], day: date, needs_approval: bool
) -> None:
    found = hold(windows, datetime(day.year, day.month, day.day, 12, tzinfo=UTC), needs_approval=needs_approval)
    until = day if found is None else found.until.date()

    def is_free(each: date) -> bool:
        known = [*windows, update_window(each)]
        return not any(
            window.first_day <= each <= window.last_day and (window.holds_all or needs_approval) for window in known
        )

    assert is_free(until)
    assert not any(is_free(day + timedelta(days=passed)) for passed in range((until - day).days))


@pytest.mark.parametrize(
    ("window", "said"),
    [
        (Window(" ", date(2026, 1, 2), date(2026, 1, 1)), ["name", "lastDay"]),
        (Window("winter", date(2026, 1, 1), date(2027, 1, 2)), ["name", "lastDay"]),
        (Window("a\nb", date(9998, 1, 1), date(9998, 1, 1)), ["name", "lastDay"]),
    ],
)
def test_everything_that_is_wrong_with_a_window_is_told(window: Window, said: list[str]) -> None:
    with pytest.raises(DomainError) as refused:
        check_window(window, ["Winter"])
    assert [target for target, _ in refused.value.targets] == said


def test_a_day_and_a_year_are_windows() -> None:
    check_window(Window("Day", date(2026, 1, 1), date(2026, 1, 1)), ["Winter"])
    check_window(Window("Leap year", date(2028, 1, 1), date(2028, 12, 31)), ["Winter"])
