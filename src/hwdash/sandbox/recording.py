"""A recording: one JSON line for each request and its answer, without secrets.

    {"request": {"method": "GET", "target": "/v2.0/my/hardware/products?top=1", "headers": {...}, "body": BODY},
     "response": {"status": 200, "headers": {...}, "body": BODY}}

BODY is null, {"json": ...}, {"form": "a=b&c=d"}, {"text": ...} or, of a package, {"bytes": 7, "sha256": "..."} without
its content. Addresses of the recorded service begin with {service}, which a replay fills in with its own.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwdash.sandbox.secrets_removed import KEPT_HEADERS, Secrets, query_without_secrets, without_secrets
from hwdash.signing.keys import write_atomically

SERVICE = "{service}"


class RecordingError(Exception):
    """A file that is no recording. The message says where."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request and its answer, as a line holds them."""

    method: str
    target: str
    """Path and query."""
    request_body: dict[str, Any] | None
    status: int
    headers: Mapping[str, str]
    body: dict[str, Any] | None

    @property
    def path(self) -> str:
        """The path alone."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query alone."""
        return self.target.partition("?")[2]

    @property
    def json(self) -> Any:
        """The answer's JSON, None without."""
        return (self.body or {}).get("json")


class RecordingFile:
    """Writes a recording. A secret that is learnt late is removed from the earlier lines when the file is closed."""

    def __init__(self, path: Path, origin: str) -> None:
        self._path = path
        self._origin = origin
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)
        self._known_at_first = 0
        self.secrets = Secrets()

    def write(
        self,
        method: str,
        target: str,
        request: tuple[Mapping[str, str], dict[str, Any] | None],
        response: tuple[int, Mapping[str, str], dict[str, Any] | None],
    ) -> None:
        """Add one exchange. ``request`` is headers and body, ``response`` status, headers and body."""
        path, _, query = target.partition("?")
        clean = f"{path}?{query_without_secrets(query)}" if query else path
        line = {
            "request": {"method": method, "target": clean, "headers": _kept(request[0]), "body": request[1]},
            "response": {"status": response[0], "headers": _kept(response[1]), "body": response[2]},
        }
        text = json.dumps(without_secrets(line), ensure_ascii=False).replace(self._origin, SERVICE)
        self._known_at_first = self._known_at_first or len(self.secrets)
        self._file.write(self.secrets.removed(text) + "\n")

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        if len(self.secrets) > self._known_at_first:
            text = self._path.read_text("utf-8")
            write_atomically(self._path, self.secrets.removed(text).encode(), mode=0o600)


def body_of(content: bytes, media_type: str) -> dict[str, Any] | None:
    """A body that was read whole, as a line holds it."""
    if not content:
        return None
    kind = media_type.partition(";")[0].strip().lower()
    try:
        if kind.endswith("json"):
            return {"json": json.loads(content)}
        if kind == "application/x-www-form-urlencoded":
            return {"form": query_without_secrets(content.decode())}
        if kind.startswith("text/") or kind.endswith("xml"):
            return {"text": content.decode("utf-8-sig")}
    except (ValueError, RecursionError):
        pass
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def read_recording(path: Path) -> list[Recorded]:
    """The exchanges of a file, in order. Raises RecordingError, and OSError."""
    found = []
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        try:
            document = json.loads(line)
            request, response = document["request"], document["response"]
            found.append(
                Recorded(
                    str(request["method"]),
                    str(request["target"]),
                    request["body"],
                    int(response["status"]),
                    {str(name): str(value) for name, value in response["headers"].items()},
                    response["body"],
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RecordingError(f"{path}, line {number}: this is no line of a recording ({error!r}).") from error
    if not found:
        raise RecordingError(f"{path} is empty: there is nothing in this recording.")
    return found


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() in KEPT_HEADERS}
