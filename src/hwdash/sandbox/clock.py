"""The clock of a sandbox: the machine's time and a stored offset, or one moment at which it stands still.

It is the ``Clock`` of the service: tokens, upload URLs, registered certificates and the times of steps follow it. It
goes forward only. Signatures do not follow it: the signer's process has the machine's clock, and the times that are
signed are the machine's (pipeline/work.py, ``signing_clock``).
"""

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from hwdash.clock import Clock, system_clock
from hwdash.settings import SettingsError
from hwdash.signing.keys import write_atomically

CLOCK_FILE = "sandbox-clock.json"
LAST_YEAR = 9000
"""Beyond it, times that are made from the present one would run out of the calendar."""


class SandboxClock:
    """A Clock that can be moved. ``on_move`` functions are called after each change, in the thread that made it."""

    def __init__(self, data: Path, machine: Clock = system_clock) -> None:
        """Raises SettingsError when what was stored cannot be read."""
        self._file = data / CLOCK_FILE
        self._machine = machine
        self._lock = threading.Lock()
        self._on_move: list[Callable[[], None]] = []
        self._offset, self._stands_at = self._stored()

    def __call__(self) -> datetime:
        """The sandbox's present time, in UTC."""
        stands_at, offset = self._stands_at, self._offset
        return stands_at if stands_at is not None else self._machine() + offset

    @property
    def is_frozen(self) -> bool:
        """Whether it stands still."""
        return self._stands_at is not None

    def on_move(self, function: Callable[[], None]) -> None:
        """Call this after every change."""
        self._on_move.append(function)

    def advance(self, span: timedelta) -> None:
        """Go forward. Raises ValueError for a span below zero, or one that leaves the calendar."""
        with self._lock:
            if span < timedelta(0):
                raise ValueError("the clock goes forward only")
            now = self()
            if now.year + span.days / 365 > LAST_YEAR:
                raise ValueError(f"the clock goes up to the year {LAST_YEAR}")
            if self._stands_at is not None:
                self._store(self._offset, self._stands_at + span)
            else:
                self._store(self._offset + span, None)
        self._tell()

    def freeze(self) -> None:
        """Stand still from now on; ``advance`` still moves it."""
        with self._lock:
            self._store(self._offset, self())
        self._tell()

    def resume(self) -> None:
        """Go on from where it stands."""
        with self._lock:
            if self._stands_at is not None:
                self._store(self._stands_at - self._machine(), None)
        self._tell()

    def document(self) -> dict[str, object]:
        """What ``GET /_sandbox/clock`` answers."""
        now = self()
        return {
            "now": now.isoformat(),
            "frozen": self.is_frozen,
            "offsetSeconds": round((now - self._machine()).total_seconds(), 3),
        }

    def _store(self, offset: timedelta, stands_at: datetime | None) -> None:
        document = {
            "offsetSeconds": offset.total_seconds(),
            "standsAt": None if stands_at is None else stands_at.isoformat(),
        }
        write_atomically(self._file, json.dumps(document).encode(), mode=0o600)
        self._offset, self._stands_at = offset, stands_at

    def _stored(self) -> tuple[timedelta, datetime | None]:
        try:
            document = json.loads(self._file.read_bytes())
            stands_at = document["standsAt"]
            return (
                timedelta(seconds=float(document["offsetSeconds"])),
                None if stands_at is None else datetime.fromisoformat(stands_at),
            )
        except FileNotFoundError:
            return timedelta(0), None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"{self._file} cannot be read ({error!r}): remove it, and the clock is the machine's again."
            ) from error

    def _tell(self) -> None:
        for function in self._on_move:
            function()
