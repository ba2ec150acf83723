"""A data folder has one service at a time: two would sweep each other's workspaces."""

import fcntl
import os
import select
import signal
from pathlib import Path
from types import TracebackType
from typing import Self


class DataFolderInUse(Exception):
    """Another service runs over this data folder."""


class DataFolderLock:
    """Held from the service's start to its end; the system lets go of it when the process dies, however it dies."""

    def __init__(self, data: Path) -> None:
        """Raises DataFolderInUse."""
        self._descriptor = os.open(data / "service.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise DataFolderInUse(f"another hwdash serve runs over {data}: stop it, or name another folder") from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def stop_service(data: Path, seconds: float) -> bool:
    """Stop the service that runs over a folder and wait until it has ended; False when none runs.

    Raises DataFolderInUse when it has not ended in time.
    """
    try:
        with DataFolderLock(data):
            return False
    except DataFolderInUse:
        text = (data / "service.lock").read_text("ascii")
        if not text:  # locked, and not yet written
            raise
        holder = int(text)
    try:
        descriptor = os.pidfd_open(holder)
    except ProcessLookupError:
        return True
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        if not select.select([descriptor], [], [], seconds)[0]:
            raise DataFolderInUse(f"the service over {data}, process {holder}, has not ended in {seconds:.0f} seconds")
    finally:
        os.close(descriptor)
    return True
