"""The log of signatures: a line of JSON for each, on the disk before the signature is given away.

Several signers may share one: whoever signs holds its lock from looking at what was made until the new lines are there.
Every method raises SignerUnavailable when the log cannot be read or written.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from hwdash.clock import Clock
from hwdash.signing.errors import SignerUnavailable

LOG_FILE = "signatures.log"

_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 18


class Counted(NamedTuple):
    """A signature, as far as it counts against a limit. The same again is one."""

    identity: str
    account_id: int
    submission_id: int
    content_digest: str


class SignatureLog:
    """The log of one key folder, and what was signed today."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        path = folder / LOG_FILE
        self._clock = clock
        self._day, self._read_to = "", 0
        self._made: set[Counted] = set()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SignerUnavailable(f"the log of signatures {path} cannot be opened: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other signers from signing meanwhile."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def append(self, *entries: Mapping[str, object]) -> None:
        """Append lines, with the time, and have them on the disk."""
        now = self._clock().isoformat()
        lines = b"".join(json.dumps({"time": now, **entry}).encode() + b"\n" for entry in entries)
        try:
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                lines = b"\n" + lines  # a crash has cut a line, so that the next one stands alone
            while lines:
                lines = lines[os.write(self._file, lines) :]
            os.fsync(self._file)
        except OSError as error:
            raise SignerUnavailable(f"the log of signatures cannot be written: {error.strerror}") from error

    def made_on(self, day: datetime) -> set[Counted]:
        """What was signed on the day of UTC in which ``day`` is. Only what is new since the last call is read."""
        name = _date(day.astimezone(UTC).isoformat())
        try:
            size = os.fstat(self._file).st_size
            if name != self._day or size < self._read_to:
                self._day, self._read_to, self._made = name, self._beginning_of(name, size), set()
            while self._read_to < size:
                block = os.pread(self._file, max(_BLOCK, _LONGEST_LINE), self._read_to)
                *lines, cut = block.split(b"\n")
                if not lines:
                    break  # the end of a line that a crash has cut
                self._read_to += len(block) - len(cut)
                self._made.update(each for line in lines if (each := _counted(line, name)) is not None)
        except OSError as error:
            raise SignerUnavailable(f"the log of signatures cannot be read: {error.strerror}") from error
        return self._made

    def refusals(self, after: int) -> tuple[list[dict[str, Any]], int]:
        """Refusals that stand behind the first ``after`` bytes, each with where it ends, ``logEnd``; and how far was
        read, for the next call. A log that is shorter is another one, and read from its beginning.
        """
        try:
            size = os.fstat(self._file).st_size
            begin = after if 0 <= after <= size else 0
            block = os.pread(self._file, _BLOCK, begin)
        except OSError as error:
            raise SignerUnavailable(f"the log of signatures cannot be read: {error.strerror}") from error
        found, end = [], begin
        for line in block.split(b"\n")[:-1]:
            end += len(line) + 1
            if (refusal := _refusal(line)) is not None:
                found.append({**refusal, "logEnd": end})
        return found, end

    def _beginning_of(self, day: str, size: int) -> int:
        """Where to begin, so that nothing of the day is missed: the log may have years."""
        back = _BLOCK
        while back < size:
            piece = os.pread(self._file, 2 * _LONGEST_LINE, size - back)
            _, newline, rest = piece.partition(b"\n")
            line = rest.partition(b"\n")[0]
            if newline and (when := _time(line)) and _date(when) < day:
                return size - back + len(piece) - len(rest)
            back *= 2
        return 0


def _date(time: str) -> str:
    return time[:10]


def _time(line: bytes) -> str:
    try:
        return str(json.loads(line)["time"])
    except (ValueError, LookupError, TypeError):
        return ""


def _refusal(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and {"refused", "time"} <= entry.keys() else None


def _counted(line: bytes, day: str) -> Counted | None:
    """What a line counts for; None for one of another day, for statements, refusals, and what a crash has cut."""
    try:
        entry = json.loads(line)
        made = Counted(entry["identity"], entry["accountId"], entry["submissionId"], entry["contentDigest"])
        return made if _date(entry["time"]) == day and "signatureSha256" in entry else None
    except (ValueError, LookupError, TypeError):
        return None
