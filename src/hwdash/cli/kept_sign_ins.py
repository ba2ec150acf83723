"""The sign-ins that ``hwdash login`` keeps: ``~/.config/hwdash/sign-ins.json``, for its owner only."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwdash.cli.output import refuse


class KeptSignIns:
    """Refresh tokens by authority and tenant. One process at a time reads and changes them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "sign-ins.json"

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> "KeptSignIns":
        """Those of the user."""
        base = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        return cls(Path(base) / "hwdash")

    def has(self, authority: str, tenant_id: str) -> bool:
        """Whether somebody is signed in there."""
        return self.file.exists() and _key(authority, tenant_id) in self._read()

    def keep(self, authority: str, tenant_id: str, refresh_token: str) -> None:
        """Keep a new sign-in in place of the one before."""
        with self._locked() as kept:
            kept[_key(authority, tenant_id)] = refresh_token

    def take(self, authority: str, tenant_id: str) -> str | None:
        """Forget a sign-in; its refresh token."""
        with self._locked() as kept:
            return kept.pop(_key(authority, tenant_id), None)

    def exchange(self, authority: str, tenant_id: str, renew: Callable[[str], str]) -> None:
        """Put what ``renew`` makes of the refresh token in its place; other processes wait."""
        with self._locked() as kept:
            token = kept.get(_key(authority, tenant_id))
            if token is None:
                refuse("Nobody is signed in any more: hwdash login.")
            kept[_key(authority, tenant_id)] = renew(token)

    @contextmanager
    def _locked(self) -> Iterator[dict[str, str]]:
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = self._read()
            yield kept
            part = self.file.with_suffix(".part")
            part.unlink(missing_ok=True)
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
                json.dump(kept, stream)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(self.file)
        finally:
            os.close(lock)

    def _read(self) -> dict[str, str]:
        try:
            kept: Any = json.loads(self.file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            refuse(f"{self.file}: {error}. Remove it, and sign in anew with hwdash login.")
        if not isinstance(kept, dict) or not all(isinstance(each, str) for each in kept.values()):
            refuse(f"{self.file} holds no sign-ins. Remove it, and sign in anew with hwdash login.")
        return kept


def _key(authority: str, tenant_id: str) -> str:
    return f"{authority.rstrip('/')} {tenant_id.lower()}"
