"""Token buckets: bursts, refilling by the clock, one bucket an application."""

from datetime import UTC, datetime, timedelta

import pytest

from hwdash.server.errors import HttpProblem
from hwdash.server.throttle import Throttle


class Watch:
    now = datetime(2026, 11, 23, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def refused(throttle: Throttle, client: str = "a") -> int:
    with pytest.raises(HttpProblem) as problem:
        throttle.take(client)
    assert problem.value.status == 429
    seconds = (problem.value.headers or {})["Retry-After"]
    assert f"in {seconds} seconds" in problem.value.message
    return int(seconds)


def test_a_burst_is_taken_and_then_one_request_whenever_the_told_time_has_passed() -> None:
    watch = Watch()
    throttle = Throttle(per_minute=6, burst=3, clock=watch)
    for _ in range(3):
        throttle.take("a")
    for _ in range(3):
        seconds = refused(throttle)
        assert seconds == 10
        watch.now += timedelta(seconds=seconds - 1)
        assert refused(throttle) == 1
        watch.now += timedelta(seconds=1)
        throttle.take("a")


def test_each_application_has_a_bucket_of_its_own() -> None:
    throttle = Throttle(per_minute=60, burst=1, clock=Watch())
    throttle.take("a")
    throttle.take("b")
    assert refused(throttle, "a") == refused(throttle, "b") == 1


def test_a_bucket_holds_no_more_than_a_burst_and_survives_a_clock_set_back() -> None:
    watch = Watch()
    throttle = Throttle(per_minute=60, burst=2, clock=watch)
    throttle.take("a")
    watch.now += timedelta(days=1)
    for _ in range(2):
        throttle.take("a")
    watch.now -= timedelta(hours=1)
    assert refused(throttle) == 1


def test_the_memory_of_buckets_is_bounded() -> None:
    throttle = Throttle(per_minute=60, burst=1, clock=Watch())
    for number in range(20_000):
        throttle.take(str(number))
    assert len(throttle._buckets) <= 10_000
