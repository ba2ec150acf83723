"""A data folder has one service at a time: two would sweep each other's workspaces."""

import fcntl
import os
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
