"""One connection of a client: HTTP/1.1 with limits to all that a client can make the service wait for or remember.

What is refused here never reached the application. It is told in the flat envelope (contract/api.md 3.17), and the
connection ends. The limits are far above what a client of the API sends; docs/reference/api.md lists them.
"""

from asyncio import Transport
from asyncio.events import TimerHandle
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hwdash.server.answer_headers import REFUSAL_HEADERS
from hwdash.server.errors import HttpProblem, problem_answer
from hwdash.server.frame import JSON

LARGEST_HEAD = 64 << 10
MOST_HEADERS = 100
_TOO_LARGE = f"The request line and the headers are larger than {LARGEST_HEAD >> 10} KB."
MOST_CONNECTIONS = 800
"""Of one process: below the 1,024 descriptors that a process usually has."""
HEAD_SECONDS = 20.0
"""From the first byte of a head, or from the beginning of the connection, to the end of the head."""
IDLE_SECONDS = 150.0
"""Without a byte of a body that has begun, or without a client that takes its answer. Longer than the endpoint of
packages waits (server/blobs.py), which says so in Azure's form.
"""


class _HeadRefusedError(Exception):
    """Raised through the parser, which ends with it."""


class Connection(HttpToolsProtocol):
    """HTTP/1.1 with refusals in JSON, limits to heads, time and number, and a stop that ends idle connections at once:
    over TLS, an idle client answers no polite close.
    """

    most_connections: ClassVar[int] = MOST_CONNECTIONS
    head_seconds: ClassVar[float] = HEAD_SECONDS
    idle_seconds: ClassVar[float] = IDLE_SECONDS

    _head: int | None = None
    """How many bytes of a head have come that has not ended; None between heads."""
    _head_ends: TimerHandle | None = None
    _body_ends: TimerHandle | None = None
    _answer_ends: TimerHandle | None = None
    _head_refusal = ""
    _parsed = 0
    """How many bytes of the head are in the request line and the headers that were parsed."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn declares it
        """A client has connected."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self._refuse(503, "The service has as many connections as it takes. Try again.", (b"retry-after", b"5"))
            return
        self._head_ends = self.loop.call_later(self.head_seconds, self._no_head)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        for timer in (self._head_ends, self._body_ends, self._answer_ends):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self.transport.is_closing():
            return
        if self._head is not None and self._head > LARGEST_HEAD:
            self._refuse(431, _TOO_LARGE)
            return
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head_ends is None:
                self._head_ends = self.loop.call_later(self.head_seconds, self._no_head)
        self._wait_for_body()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head = self._parsed = 0

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        super().on_url(url)
        self._parsed += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one line after a body in chunks."""
        super().on_header(name, value)
        self._parsed += len(name) + len(value)
        if len(self.headers) > MOST_HEADERS:
            self._head_refusal = f"The request has more than {MOST_HEADERS} headers."
        elif self._parsed > LARGEST_HEAD:  # all of it may have come at once
            self._head_refusal = _TOO_LARGE
        if self._head_refusal:
            raise _HeadRefusedError

    def on_headers_complete(self) -> None:
        """The head of a request has ended."""
        self._head = None
        if self._head_ends is not None:
            self._head_ends.cancel()
            self._head_ends = None
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        if self._head_refusal:
            self._refuse(431, self._head_refusal)
        else:
            self._refuse(400, msg)

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is made."""
        super().pause_writing()
        self._answer_ends = self.loop.call_later(self.idle_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken what was made."""
        super().resume_writing()
        if self._answer_ends is not None:
            self._answer_ends.cancel()

    def shutdown(self) -> None:
        """Stop: now where nothing is under way, else after the answer."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        else:
            self.cycle.keep_alive = False

    def _wait_for_body(self) -> None:
        """Give the rest of a body its time anew, whether it is still wanted or was answered already."""
        if self._body_ends is not None:
            self._body_ends.cancel()
            self._body_ends = None
        if self.cycle is not None and self.cycle.more_body and self._head is None:
            self._body_ends = self.loop.call_later(self.idle_seconds, self._no_body)

    def _no_head(self) -> None:
        self._head_ends = None
        if self._head is None:  # nothing was asked: there is nothing to answer
            self.transport.abort()
        else:
            self._refuse(408, f"The head of the request did not come in {self.head_seconds:.0f} seconds.")

    def _no_body(self) -> None:
        self._body_ends = None
        if self.cycle.response_started:
            self.transport.abort()
        elif self.flow.read_paused:  # it is the service that lets the client wait
            self._wait_for_body()
        else:
            self._refuse(408, f"Nothing of the body came for {self.idle_seconds:.0f} seconds.")

    def _refuse(self, status: int, message: str, *more: tuple[bytes, bytes]) -> None:
        """The flat envelope (contract/api.md 3.17), and the end of the connection."""
        _, body, _ = problem_answer(HttpProblem(status, message))
        headers: list[tuple[bytes, bytes]] = [
            *self.server_state.default_headers,
            *REFUSAL_HEADERS,
            *more,
            (b"content-type", JSON.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(), *(b"%b: %b" % each for each in headers)]
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()
