"""The mark of a sandbox: the file ``sandbox.json`` in a data folder, which only ``hwdash init --sandbox`` writes.

Without it there is no way to a scenario, to the clock or to the recorded requests: the service is put together without
any part of the sandbox (cli/serve.py). A mark cannot be given to a folder that holds a service already.
"""

import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from hwdash.settings import SettingsError
from hwdash.signing.keys import write_atomically

MARK = "sandbox.json"


@dataclass(frozen=True, slots=True)
class Mark:
    """What makes a data folder a sandbox. The token opens /_sandbox; only its SHA-256 is kept."""

    made_at: str
    token_sha256: str
    step_times: str
    """How long steps take unless a setting says otherwise: realistic, or none."""

    def admits(self, token: str) -> bool:
        """Whether this is the sandbox's admin token."""
        return hmac.compare_digest(sha256(token.encode("utf-8", "surrogatepass")).hexdigest(), self.token_sha256)


def make_mark(data: Path, now: datetime, *, step_times: str = "realistic") -> str:
    """Make a new data folder a sandbox; its admin token, which is shown once. Raises SettingsError for an old one."""
    if (data / "keys").exists() or (data / "hwdash.db").exists():
        raise SettingsError(f"{data} holds a service already, and one is born a sandbox or never becomes one.")
    token = secrets.token_urlsafe(32)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {"madeAt": now.isoformat(), "tokenSha256": sha256(token.encode()).hexdigest()}
    document["stepTimes"] = step_times
    write_atomically(data / MARK, json.dumps(document).encode(), mode=0o600)
    return token


def mark_of(data: Path) -> Mark | None:
    """The folder's mark; None when it is no sandbox. Raises SettingsError for a file that is no mark."""
    file = data / MARK
    try:
        document = json.loads(file.read_bytes())
        times = document.get("stepTimes", "realistic")
        return Mark(str(document["madeAt"]), str(document["tokenSha256"]), str(times))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{file} is not the mark of a sandbox ({error!r}): make a new sandbox.") from error
