from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hwdash.sandbox.clock import CLOCK_FILE, SandboxClock
from hwdash.sandbox.duration import parse_duration
from hwdash.settings import SettingsError

START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


class Machine:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def test_it_is_the_machines_clock_until_it_is_moved(tmp_path: Path) -> None:
    machine = Machine()
    clock = SandboxClock(tmp_path, machine)
    assert clock() == START
    clock.advance(timedelta(days=3))
    machine.now += timedelta(seconds=5)
    assert clock() == START + timedelta(days=3, seconds=5)


def test_frozen_it_stands_and_moves_only_when_it_is_told_to(tmp_path: Path) -> None:
    machine = Machine()
    clock = SandboxClock(tmp_path, machine)
    clock.freeze()
    machine.now += timedelta(hours=1)
    assert clock() == START
    clock.advance(timedelta(days=1))
    assert clock() == START + timedelta(days=1)
    clock.resume()
    machine.now += timedelta(seconds=1)
    assert clock() == START + timedelta(days=1, seconds=1)


def test_where_it_stands_survives_a_restart(tmp_path: Path) -> None:
    machine = Machine()
    clock = SandboxClock(tmp_path, machine)
    clock.advance(timedelta(days=2))
    assert SandboxClock(tmp_path, machine)() == START + timedelta(days=2)
    clock.freeze()
    machine.now += timedelta(days=9)
    again = SandboxClock(tmp_path, machine)
    assert again.is_frozen
    assert again() == START + timedelta(days=2)


def test_each_change_is_told(tmp_path: Path) -> None:
    clock = SandboxClock(tmp_path, Machine())
    told: list[datetime] = []
    clock.on_move(lambda: told.append(clock()))
    clock.advance(timedelta(hours=1))
    clock.freeze()
    clock.resume()
    assert told == [START + timedelta(hours=1)] * 3


def test_it_does_not_go_back_nor_out_of_the_calendar(tmp_path: Path) -> None:
    clock = SandboxClock(tmp_path, Machine())
    with pytest.raises(ValueError, match="forward only"):
        clock.advance(timedelta(seconds=-1))
    clock.advance(timedelta(days=6900 * 365))
    with pytest.raises(ValueError, match="up to the year"):
        clock.advance(timedelta(days=200 * 365))
    assert clock().year <= 9000


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"offsetSeconds": "x", "standsAt": null}'])
def test_a_stored_clock_that_cannot_be_read_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / CLOCK_FILE).write_text(content)
    with pytest.raises(SettingsError, match=CLOCK_FILE):
        SandboxClock(tmp_path)


@pytest.mark.parametrize(
    ("text", "seconds"), [("3d", 259_200), ("2h30m", 9000), ("90s", 90), ("500ms", 0.5), ("1w", 604_800), ("0s", 0)]
)
def test_spans_of_time_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "3", "d", "3 d", "-3d", "3d!", "1.5h", "999999999w", "٣d"])
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"span of time|hundred years"):
        parse_duration(text)
