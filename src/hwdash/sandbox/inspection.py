"""The last requests with their answers, in memory: bounded in number and in bytes, without secrets."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwdash.clock import Clock
from hwdash.sandbox.explanations import explanation
from hwdash.sandbox.faults import RULE
from hwdash.sandbox.redaction import MAX_KEPT, kept_body, redacted

MAX_REQUESTS = 2000
MAX_BYTES = 16 << 20
_OVERHEAD = 500
"""Bytes of an entry beside its texts, about."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. ``at`` is the sandbox's time, ``status`` 0 when there was no answer."""

    number: int
    at: str
    method: str
    path: str
    status: int
    milliseconds: int
    request_id: str
    request_body: str
    answer_body: str
    explanation: str
    rules: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As ``GET /_sandbox/requests`` lists it."""
        return {
            "number": self.number,
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "milliseconds": self.milliseconds,
            "requestId": self.request_id,
            "requestBody": self.request_body,
            "answerBody": self.answer_body,
            "explanation": self.explanation,
            "rules": list(self.rules),
        }

    def has(self, text: str) -> bool:
        """Whether the text stands anywhere in it, in any case."""
        wanted = text.casefold()
        parts = (self.method, self.path, str(self.status), self.request_id, self.request_body, self.answer_body)
        return any(wanted in part.casefold() for part in (*parts, self.explanation, *self.rules))

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return _OVERHEAD + len(self.path) + len(self.request_body) + len(self.answer_body) + len(self.explanation)


class Ring:
    """The last exchanges, the oldest first; the oldest are forgotten."""

    def __init__(self, *, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES) -> None:
        self._kept: deque[Exchange] = deque()
        self._lock = threading.Lock()
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0
        self._numbered = 0

    def add(self, make: Callable[[int], Exchange]) -> None:
        """Keep one more; ``make`` is given its number."""
        with self._lock:
            self._numbered += 1
            exchange = make(self._numbered)
            self._kept.append(exchange)
            self._bytes += exchange.size
            while len(self._kept) > self._max_requests or (self._bytes > self._max_bytes and len(self._kept) > 1):
                self._bytes -= self._kept.popleft().size

    def exchanges(self, *, after: int = 0, text: str = "") -> list[Exchange]:
        """Those with a number above ``after`` in which ``text`` stands."""
        with self._lock:
            kept = list(self._kept)
        return [each for each in kept if each.number > after and (not text or each.has(text))]

    def clear(self) -> None:
        """Forget all. Numbers go on."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0


@dataclass(slots=True)
class _Body:
    """The beginning of a body, and how long all of it is."""

    start: bytearray = field(default_factory=bytearray)
    size: int = 0

    def add(self, part: bytes) -> None:
        self.size += len(part)
        self.start += part[: 4 * MAX_KEPT - len(self.start)]


class Recorder:
    """ASGI: the application, with every request kept in a ring."""

    def __init__(self, app: ASGIApp, ring: Ring, clock: Clock) -> None:
        self._app = app
        self._ring = ring
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and keep what went by."""
        sent, answered = _Body(), _Body()
        begun, at = time.monotonic(), self._clock().isoformat()
        status, answer_type = 0, ""

        async def read() -> Message:
            message = await receive()
            sent.add(message.get("body", b""))
            return message

        async def write(message: Message) -> None:
            nonlocal status, answer_type
            if message["type"] == "http.response.start":
                status, answer_type = message["status"], _header(message["headers"], b"content-type")
            else:
                answered.add(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, read, write)
        finally:
            query = scope["query_string"].decode("latin-1")
            request_type = _header(scope["headers"], b"content-type")
            answer = kept_body(bytes(answered.start), answered.size, answer_type)
            rules = tuple(scope.get(RULE, ()))
            self._ring.add(
                lambda number: Exchange(
                    number=number,
                    at=at,
                    method=scope["method"],
                    path=redacted(scope["path"] + (f"?{query}" if query else ""))[:2000],
                    status=status,
                    milliseconds=round((time.monotonic() - begun) * 1000),
                    request_id=_header(scope["headers"], b"ms-requestid")[:100],
                    request_body=kept_body(bytes(sent.start), sent.size, request_type),
                    answer_body=answer,
                    explanation=explanation(scope["method"], scope["path"], status, answer, rules),
                    rules=rules,
                )
            )


def _header(headers: Mapping[bytes, bytes] | list[tuple[bytes, bytes]], name: bytes) -> str:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return next((value.decode("latin-1") for key, value in pairs if key.lower() == name), "")
