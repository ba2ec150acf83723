"""No client can hold the service by what it does not send, does not read, or sends too much of.

The limits of time are tried on the protocol itself, in which a test shortens them; those of size on the service.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from hwdash.server import requests as request_bodies
from hwdash.server.connection import LARGEST_HEAD, MOST_HEADERS, Connection
from hwdash.server.errors import HttpProblem
from hwdash.server.requests import read_json
from service import Served

QUICK = 0.2
PLENTY = 30.0
BIG = 64 << 20


class Quick(Connection):
    """The protocol, with little patience for heads and bodies."""

    head_seconds = QUICK
    idle_seconds = QUICK
    most_connections = 4


async def answers_after_the_body(scope: Scope, receive: Receive, send: Send) -> None:
    while (message := await receive()).get("more_body"):
        pass
    if message["type"] == "http.disconnect":
        return
    size = BIG if scope["path"] == "/big" else 2
    headers = [(b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"x" * size})


@asynccontextmanager
async def served() -> AsyncIterator[tuple[int, ServerState]]:
    """The protocol on a port, with an application that reads bodies to their end."""
    config, state = uvicorn.Config(answers_after_the_body, lifespan="off", log_config=None), ServerState()
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Quick(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], state
    finally:
        server.close()


def attacked_by(test: Callable[[int, ServerState], Awaitable[None]]) -> None:
    """Run one attack against it, which has to end by itself."""

    async def run() -> None:
        async with served() as (port, state), asyncio.timeout(PLENTY):
            await test(port, state)

    asyncio.run(run())


async def said(port: int, *pieces: bytes) -> bytes:
    """All that the service says to a client that sends these and then waits."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for each in pieces:
        writer.write(each)
        await writer.drain()
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def told(answer: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


def test_who_says_nothing_is_let_go() -> None:
    async def attack(port: int, _state: ServerState) -> None:
        assert await said(port) == b""

    attacked_by(attack)


@pytest.mark.parametrize(
    "head", [b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 1000]
)
def test_a_head_that_does_not_end_is_408(head: bytes) -> None:
    async def attack(port: int, _state: ServerState) -> None:
        answer = await said(port, head)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert told(answer)["statusCode"] == "408"

    attacked_by(attack)


def test_a_head_in_drops_has_no_more_time_than_one_that_stands_still() -> None:
    async def attack(port: int, _state: ServerState) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        answer = asyncio.ensure_future(reader.read())
        begun = asyncio.get_running_loop().time()
        while not answer.done():
            writer.write(b"a: b\r\n")
            await asyncio.wait([answer], timeout=QUICK / 10)
        assert answer.result().startswith(b"HTTP/1.1 408 ")
        assert asyncio.get_running_loop().time() - begun >= QUICK * 0.9
        writer.close()

    attacked_by(attack)


def test_a_second_head_that_does_not_end_is_408_too() -> None:
    async def attack(port: int, _state: ServerState) -> None:
        answer = await said(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in answer

    attacked_by(attack)


@pytest.mark.parametrize("body", [b"", b"half of i"])
def test_a_body_that_does_not_end_is_408(body: bytes) -> None:
    async def attack(port: int, _state: ServerState) -> None:
        answer = await said(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + body)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert "Nothing of the body came" in told(answer)["message"]

    attacked_by(attack)


def test_a_whole_request_is_answered_however_little_patience_there_is() -> None:
    async def attack(port: int, _state: ServerState) -> None:
        answer = await said(
            port, b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", b"abc"
        )
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"xx")

    attacked_by(attack)


def test_who_does_not_read_the_answer_is_let_go() -> None:
    async def attack(port: int, state: ServerState) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        assert await reader.readexactly(8) == b"HTTP/1.1"
        (connection,) = state.connections
        while connection in state.connections:
            await _turn()
        writer.close()

    attacked_by(attack)


def test_beyond_the_most_connections_one_more_is_told_and_let_go() -> None:
    async def attack(port: int, state: ServerState) -> None:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(Quick.most_connections)]
        while len(state.connections) < Quick.most_connections:
            await _turn()
        answer = await said(port)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 5" in answer
        for _, writer in held:
            writer.close()

    attacked_by(attack)


async def _turn() -> None:
    """Let the service have its turn."""
    await asyncio.get_running_loop().run_in_executor(None, int)


def test_a_body_of_json_in_drops_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_bodies, "BODY_SECONDS", QUICK)

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await _turn()

    with pytest.raises(HttpProblem, match="did not come in") as refused:
        asyncio.run(read_json({}, drops(), 1 << 30))
    assert refused.value.status == 408


# What is too large, on the service itself


@contextmanager
def connected(service: Served) -> Iterator[ssl.SSLSocket]:
    trust = ssl.create_default_context(cafile=service.made.credentials["caCertificate"])
    url = urlsplit(service.url)
    with (
        socket.create_connection((url.hostname or "", url.port or 443), timeout=PLENTY) as plain,
        trust.wrap_socket(plain, server_hostname=url.hostname) as connection,
    ):
        yield connection


def status_of(connection: ssl.SSLSocket) -> int:
    return int(connection.recv(4096).split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([f"a{number}: b" for number in range(MOST_HEADERS - 1)], 200),
        ([f"a{number}: b" for number in range(MOST_HEADERS)], 431),
        (["a: b"] * 5000, 431),
        ([f"a{number}: {'b' * 1000}" for number in range(60)], 200),
        ([f"a{number}: {'b' * 1000}" for number in range(99)], 431),
        (["a: " + "b" * (2 * LARGEST_HEAD)], 431),
    ],
)
def test_too_many_or_too_large_headers_are_431(service: Served, lines: list[str], status: int) -> None:
    head = "\r\n".join(["GET /healthz HTTP/1.1", "Host: x", *lines, "", ""]).encode()
    with connected(service) as connection:
        for at in range(0, len(head), 4 << 10):
            connection.sendall(head[at : at + (4 << 10)])
        assert status_of(connection) == status


def test_a_hundred_idle_connections_do_not_keep_another_from_being_answered(service: Served) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(connected(service)).sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        with connected(service) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert status_of(connection) == 200
