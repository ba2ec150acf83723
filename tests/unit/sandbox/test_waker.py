import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hwdash.sandbox.clock import SandboxClock
from hwdash.sandbox.steps import Waker

SECONDS = 10
"""How long a test waits for another thread before it fails."""


class Woken:
    """What was woken, and a way to wait for it."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.seen = threading.Semaphore(0)

    def __call__(self, submission_id: int) -> None:
        self.ids.append(submission_id)
        self.seen.release()

    def wait(self) -> None:
        assert self.seen.acquire(timeout=SECONDS)


def frozen(folder: Path) -> SandboxClock:
    clock = SandboxClock(folder, lambda: datetime(2026, 11, 28, tzinfo=UTC))
    clock.freeze()
    return clock


def test_moving_the_clock_wakes_what_is_due_in_its_order(tmp_path: Path) -> None:
    clock, woken = frozen(tmp_path), Woken()
    waker = Waker(clock, woken)
    waker.start()
    start = clock()
    waker.at(start + timedelta(days=3), 3)
    waker.at(start + timedelta(days=1), 1)
    waker.at(start, 0)
    woken.wait()
    clock.advance(timedelta(days=1))
    woken.wait()
    assert woken.ids == [0, 1]
    clock.advance(timedelta(days=30))
    woken.wait()
    assert woken.ids == [0, 1, 3]
    waker.stop()


def test_time_that_passes_by_itself_wakes_too(tmp_path: Path) -> None:
    clock, woken = SandboxClock(tmp_path), Woken()
    waker = Waker(clock, woken)
    waker.start()
    waker.at(clock() + timedelta(milliseconds=20), 7)
    woken.wait()
    waker.stop()
    assert woken.ids == [7]


def test_what_fails_to_wake_is_tried_again(tmp_path: Path) -> None:
    clock, woken = frozen(tmp_path), Woken()
    failures = [RuntimeError("the database is busy")]

    def wake(submission_id: int) -> None:
        if failures:
            raise failures.pop()
        woken(submission_id)

    waker = Waker(clock, wake)
    waker.start()
    waker.at(clock(), 7)
    for _ in range(SECONDS * 20):
        if woken.seen.acquire(timeout=0.05):
            break
        clock.advance(timedelta(minutes=1))
    waker.stop()
    assert woken.ids == [7]
    assert not failures


def test_it_stops_while_it_waits(tmp_path: Path) -> None:
    waker = Waker(frozen(tmp_path), Woken())
    waker.at(datetime(2999, 1, 1, tzinfo=UTC), 1)
    waker.start()
    waker.stop()
    assert not waker._thread.is_alive()
