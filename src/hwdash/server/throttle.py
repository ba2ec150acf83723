"""How many requests an application may send: a token bucket each (contract/api.md 1.3, 429).

The buckets are this process's own: several processes allow several times as much.
"""

import math
from dataclasses import dataclass

from hwdash.clock import Clock
from hwdash.server.errors import HttpProblem

# More applications than call in any minute; a forgotten bucket is a full one.
_MOST_BUCKETS = 10_000


@dataclass(slots=True)
class _Bucket:
    left: float
    since: float


class Throttle:
    """``burst`` requests at once, and ``per_minute`` in the long run."""

    def __init__(self, per_minute: int, burst: int, clock: Clock) -> None:
        self._per_second = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, client_id: str) -> None:
        """Count a request. Raises HttpProblem 429 with the seconds until the next one is taken."""
        now = self._clock().timestamp()
        bucket = self._buckets.get(client_id)
        if bucket is None:
            while len(self._buckets) >= _MOST_BUCKETS:
                self._buckets.pop(next(iter(self._buckets)))
            bucket = self._buckets[client_id] = _Bucket(self._burst, now)
        # A clock that was set back fills no bucket and empties none.
        bucket.left = min(self._burst, bucket.left + max(0.0, now - bucket.since) * self._per_second)
        bucket.since = now
        if bucket.left < 1:
            seconds = math.ceil((1 - bucket.left) / self._per_second)
            raise HttpProblem(
                429,
                f"Too many requests of this application. Try again in {seconds} seconds.",
                {"Retry-After": str(seconds)},
            )
        bucket.left -= 1
