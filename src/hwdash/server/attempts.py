"""How often something may be tried from one address."""

from datetime import timedelta

from hwdash.clock import Clock

WINDOW = timedelta(minutes=15)
_MAX_ADDRESSES = 10_000


class Attempts:
    """At most ``limit`` in a quarter of an hour from one address. One process' memory."""

    def __init__(self, clock: Clock, *, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._times: dict[str, list[float]] = {}

    def has_room(self, address: str) -> bool:
        """Whether one more may be tried."""
        after = self._clock().timestamp() - WINDOW.total_seconds()
        recent = [each for each in self._times.get(address, ()) if each > after]
        if recent:
            self._times[address] = recent
        else:
            self._times.pop(address, None)
        return len(recent) < self._limit

    def try_once(self, address: str) -> bool:
        """Count one, unless there is no room any more; whether there was."""
        if not self.has_room(address):
            return False
        # The oldest addresses give way: memory is bounded, whoever asks.
        while len(self._times) >= _MAX_ADDRESSES:
            self._times.pop(next(iter(self._times)))
        self._times.setdefault(address, []).append(self._clock().timestamp())
        return True
