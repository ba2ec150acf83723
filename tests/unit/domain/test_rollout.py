"""The two clocks of a gradual rollout (contract/dashboard.md 128 to 134)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwdash.domain.rollout import Rollout, Wish, check_phases, percent_at

START = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
PHASES = ((1, 1), (10, 8), (100, 14))
ROLLOUT = Rollout(PHASES, 30, START)


def on_day(day: float) -> datetime:
    """The beginning of a day, which is counted from 1."""
    return START + timedelta(days=day - 1)


@pytest.mark.parametrize(
    ("day", "percent"), [(1, 1), (7.99, 1), (8, 10), (13.99, 10), (14, 100), (30.99, 100), (400, 100)]
)
def test_the_share_grows_by_the_phases(day: float, percent: int) -> None:
    assert ROLLOUT.percent_at(on_day(day)) == percent


@pytest.mark.parametrize(("day", "is_over"), [(1, False), (14, False), (30.99, False), (31, True)])
def test_it_is_watched_for_thirty_days_though_all_have_it_on_the_fourteenth(day: float, is_over: bool) -> None:
    assert ROLLOUT.is_over_at(on_day(day)) is is_over


def test_without_a_watch_it_ends_when_the_last_phase_begins() -> None:
    brief = Rollout(PHASES, 0, START)
    assert not brief.is_over_at(on_day(13.99))
    assert brief.is_over_at(on_day(14))


def test_its_owner_reads_how_far_it_is() -> None:
    assert ROLLOUT.message_at(on_day(8.5)) == "Gradual rollout: 10 %, day 8 of 30"


def test_a_pause_offers_it_to_none_and_stops_both_clocks() -> None:
    paused = ROLLOUT.pause(on_day(9), "crashes on resume")
    assert paused.percent_at(on_day(20)) == 0
    assert paused.next_change_at(on_day(20)) is None
    assert not paused.is_over_at(on_day(100))
    assert paused.message_at(on_day(20)) == "Gradual rollout: paused, 0 %, day 9 of 30: crashes on resume"
    resumed = paused.resume(on_day(20))
    assert resumed.percent_at(on_day(20)) == 10
    assert resumed.day_at(on_day(20)) == 9
    assert resumed.percent_at(on_day(25)) == 100  # the fourteenth day came eleven days later
    assert not resumed.is_over_at(on_day(41.99))
    assert resumed.is_over_at(on_day(42))


def test_pausing_twice_and_resuming_what_runs_change_nothing() -> None:
    paused = ROLLOUT.pause(on_day(9))
    assert paused.pause(on_day(10)) == paused
    assert ROLLOUT.resume(on_day(9)) == ROLLOUT


def test_finalized_it_is_over_and_everybodys_even_out_of_a_pause() -> None:
    final = ROLLOUT.pause(on_day(2)).finalize(on_day(3))
    assert final.is_over_at(on_day(3))
    assert final.percent_at(on_day(3)) == 100


def test_the_next_change_is_the_next_day() -> None:
    assert ROLLOUT.next_change_at(on_day(1)) == on_day(2)
    assert ROLLOUT.next_change_at(on_day(7.25)) == on_day(8)
    assert ROLLOUT.next_change_at(on_day(31)) is None


def test_a_clock_that_went_back_is_the_first_day() -> None:
    assert ROLLOUT.percent_at(on_day(-5)) == 1
    assert ROLLOUT.day_at(on_day(-5)) == 1


def test_what_was_asked_for_counts_before_it_is_done() -> None:
    now = on_day(9)
    for what, percent in ((Wish.PAUSE, 0), (Wish.RESUME, 10), (Wish.FINALIZE, 100)):
        asked = ROLLOUT.to_json() | {"wish": {"what": str(what), "reason": "", "by": "Ann"}}
        assert percent_at(asked, now) == percent
    resumed = ROLLOUT.pause(on_day(2)).to_json() | {"wish": {"what": "resume", "reason": "", "by": "Ann"}}
    assert percent_at(resumed, now) == 1


def test_without_a_rollout_all_machines_are_offered_it() -> None:
    assert percent_at(None, START) == 100


def test_a_flight_reaches_all_insiders_for_sixty_days_and_then_none_paused_or_not() -> None:
    flight = Rollout.flight(START)
    assert [flight.percent_at(on_day(day)) for day in (1, 60.99, 61, 400)] == [100, 100, 0, 0]
    assert flight.message_at(on_day(12)) == "Flight to Insider machines: day 12 of 60"
    assert (flight.next_change_at(on_day(60.5)), flight.next_change_at(on_day(61))) == (on_day(61), None)
    paused = Rollout.of(flight.pause(on_day(12), "crashes").to_json())
    assert paused.message_at(on_day(20)) == "Flight to Insider machines: paused, 0 %, day 20 of 60: crashes"
    assert (paused.percent_at(on_day(20)), paused.next_change_at(on_day(20))) == (0, on_day(21))
    resumed = paused.resume(on_day(40))
    assert (resumed.percent_at(on_day(60.99)), resumed.percent_at(on_day(61))) == (100, 0)
    assert (paused.is_over_at(on_day(60.99)), paused.is_over_at(on_day(61))) == (False, True)


def test_what_an_older_release_stored_is_no_flight() -> None:
    stored = ROLLOUT.to_json()
    del stored["isFlight"]
    assert Rollout.of(stored) == ROLLOUT


@given(
    pauses=st.lists(st.tuples(st.floats(0.01, 9), st.floats(0.01, 9)), max_size=5),
    at=st.floats(0, 60),
)
def test_pauses_move_the_rollout_by_their_own_length_and_by_nothing_else(
    pauses: list[tuple[float, float]], at: float
) -> None:
    now, rollout, paused = START, ROLLOUT, timedelta()
    for runs, rests in pauses:
        now += timedelta(days=runs)
        rollout = rollout.pause(now)
        now += timedelta(days=rests)
        rollout = rollout.resume(now)
        paused += timedelta(days=rests)
    then = now + timedelta(days=at)
    kept = Rollout.of(rollout.to_json())
    assert kept == rollout
    assert percent_at(rollout.to_json(), then) == rollout.percent_at(then)
    # Seconds are summed as floats: look away from the very edge of a day.
    if abs(((then - paused - START) / timedelta(days=1)) % 1 - 0.5) < 0.499:
        assert kept.day_at(then) == ROLLOUT.day_at(then - paused)
        assert kept.percent_at(then) == ROLLOUT.percent_at(then - paused)


@pytest.mark.parametrize(
    ("phases", "watch_days", "said"),
    [
        ([], 30, ["at least one phase"]),
        ([(100, 2)], 30, ["begins on day 1"]),
        ([(1, 1), (50, 8)], 30, ["of 100 percent"]),
        ([(0, 1), (100, 2)], 30, ["must be 1 to 100"]),
        ([(10, 1), (5, 8), (100, 8)], 30, ["5:8: each phase", "100:8: each phase"]),
        ([(100, 1)], -1, ["must be 0 to"]),
        ([(1, 2), (99, 1)], 4000, ["day 1", "100 percent", "each phase", "must be 0 to"]),
        (PHASES, 30, []),
        ([(100, 1)], 0, []),
    ],
)
def test_what_is_wrong_with_phases_is_told_all_at_once(
    phases: list[tuple[int, int]], watch_days: int, said: list[str]
) -> None:
    found = check_phases(phases, watch_days)
    assert len(found) == len(said)
    for each, part in zip(found, said, strict=True):
        assert part in each
