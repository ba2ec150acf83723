"""Which requests a sandbox was sent: one JSON line each, for tests that assert on them.

The line is written before the answer leaves, so that a client which has its answer finds its request here. It holds
method, path, status and time, and nothing secret: no query, no headers, no bodies.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Request:
    """One request and what came of it. ``path`` is as the client sent it, decoded and without the query."""

    method: str
    path: str
    status: int
    milliseconds: float


def request_log(data: Path) -> Path:
    """The file of the lines in a sandbox's data folder."""
    return data / "requests.jsonl"


class RequestLog:
    """ASGI: writes a line for every request."""

    def __init__(self, app: ASGIApp, file: Path) -> None:
        self._app = app
        self._file = file.open("a", encoding="utf-8", buffering=1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note it with the status of its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                took = round((perf_counter() - began) * 1000, 1)
                request = Request(scope["method"], scope["path"], message["status"], took)
                self._file.write(json.dumps(asdict(request)) + "\n")
            await send(message)

        await self._app(scope, receive, noted)


class Requests:
    """The requests that a sandbox was sent so far, oldest first. Each look reads the file anew."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._skipped = 0

    def __iter__(self) -> Iterator[Request]:
        return iter(self._all()[self._skipped :])

    def __len__(self) -> int:
        return len(self._all()) - self._skipped

    def matching(self, method: str | None = None, ending: str = "") -> list[Request]:
        """Those with this method (any without one) whose path ends so. A slash at the end of a path does not count."""
        return [
            each
            for each in self
            if (method is None or each.method == method.upper()) and each.path.rstrip("/").endswith(ending.rstrip("/"))
        ]

    def count(self, method: str | None = None, ending: str = "") -> int:
        """How many there are: ``requests.count("POST", "/commit") == 1``."""
        return len(self.matching(method, ending))

    def forget(self) -> None:
        """Begin anew: what was sent so far does not count any more."""
        self._skipped = len(self._all())

    def _all(self) -> list[Request]:
        try:
            lines = self._file.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [Request(**json.loads(line)) for line in lines]
