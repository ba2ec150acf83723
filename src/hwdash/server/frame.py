"""The frame around every route of the table: what each request of the API goes through, once and in this order.

Path form, correlation headers, route, token, ids of the path, query, body; then in one transaction the role, the
repeated create, the route's own function, and what it did as an entry of the audit log; then the answer, or the refusal
as JSON (contract/api.md 1 and 3.17). Whoever lacks the role is refused for that, whatever else is wrong with the
request. A refused token or role is an entry too.
"""

import asyncio
import hashlib
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy as sa
from pydantic_core import to_json
from sqlalchemy.exc import IntegrityError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwdash.domain.audit import LONGEST, act
from hwdash.domain.errors import Code, DomainError
from hwdash.server.blob_wire import blob_problem, byte_range, conditions, etags, http_date, is_unmodified
from hwdash.server.errors import HttpProblem, domain_answer, problem_answer
from hwdash.server.paths import RouteTree, canonical_path, identifier
from hwdash.server.refusals import principal, unknown
from hwdash.server.requests import Identity, authenticate, authorize, read_json, read_model
from hwdash.server.route import NUMBERS, Caller, Exchange, FileAnswer, JsonAnswer, Route
from hwdash.server.service import Service
from hwdash.server.throttle import Throttle
from hwdash.storage.audit import append
from hwdash.storage.blob_files import BlobError
from hwdash.storage.creates import CreateKey, find_created, remember_created
from hwdash.wire.base import WireModel

log = logging.getLogger(__name__)

JSON = "application/json; charset=utf-8"
CORRELATION_HEADERS = ("MS-CorrelationId", "MS-RequestId")
_PIECE = 1 << 20

Headers = Mapping[str, str]


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


class Frame:
    """ASGI: the routes of the table; ``other`` gets what is not under their paths, in canonical form.

    ``before_writes`` is waited for by each request that may write.
    """

    def __init__(
        self, service: Service, routes: Iterable[Route], other: ASGIApp, before_writes: Callable[[], Awaitable[None]]
    ) -> None:
        self._service = service
        self._tree = RouteTree(routes)
        self._other = other
        self._before_writes = before_writes
        settings = service.settings
        self._throttle = Throttle(settings.requests_per_minute, settings.request_burst, service.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        headers = _headers(scope)
        correlation = {name: headers.get(name.lower()) or str(uuid.uuid4()) for name in CORRELATION_HEADERS}
        path = canonical_path(scope["path"])
        found = self._tree.find(path)
        if found is None:
            await self._pass_on(scope, receive, send, path, correlation)
            return
        request_id = correlation["MS-RequestId"]
        try:
            route = found.route(scope["method"])
            exchange = Exchange(path, request_id, headers, lambda: _body(receive), (scope.get("client") or ("",))[0])
            document = await self._run(route, exchange, found.parameters, scope["query_string"])
            if isinstance(document, FileAnswer):
                await self._send_file(send, route.status, document, headers, correlation)
                return
            status, more = route.status, _location(route, document)
            if isinstance(document, JsonAnswer):
                more, document = document.headers, document.document
                if route.method == "GET" and _has_it(headers, more.get("ETag")):
                    status, document = 304, None
            body = b"" if document is None else to_json(document)
        except ClientGone:
            return
        except DomainError as error:
            status, body, more = domain_answer(error, request_id)
        except HttpProblem as problem:
            status, body, more = problem_answer(problem)
        except Exception:
            log.exception("request %s failed", request_id)
            status, body, more = problem_answer(HttpProblem(500, "Internal server error"))
        await _send(send, status, body, {**correlation, **more})

    async def _run(self, route: Route, exchange: Exchange, parameters: Mapping[str, str], query: bytes) -> Any:
        identity = None
        try:
            identity = authenticate(self._service, exchange.headers) if route.roles else None
            return await self._run_for(identity, route, exchange, parameters, query)
        except (DomainError, HttpProblem) as error:
            await self._note_refusal(error, identity, route, exchange)
            raise

    async def _note_refusal(
        self, error: DomainError | HttpProblem, identity: Identity | None, route: Route, exchange: Exchange
    ) -> None:
        """An entry of the audit log for a token or a role that was refused, and for nothing else."""
        if isinstance(error, HttpProblem) and error.status == 401:
            who = unknown(exchange.address)
        elif isinstance(error, DomainError) and error.code is Code.FORBIDDEN and identity is not None:
            who = principal(identity)
        else:
            return
        told = {
            "requestId": exchange.request_id[:LONGEST],
            "path": exchange.path[:LONGEST],
            "address": exchange.address,
        }
        await self._service.refusals.note(who, ("request", route.action), error.message, **told)

    async def _run_for(
        self,
        identity: Identity | None,
        route: Route,
        exchange: Exchange,
        parameters: Mapping[str, str],
        query: bytes,
    ) -> Any:
        service = self._service
        if identity is not None:
            self._throttle.take(identity[0])
        try:
            ids, arguments, digest = await self._read(route, exchange, parameters, query)
        except (DomainError, HttpProblem):
            if identity is not None and route.roles is not None:
                # Who may not make this request learns nothing of what else is wrong with it. The role of a sound
                # request is checked in its own transaction.
                await service.database.read(authorize, identity, route.roles)
            raise
        if route.writes:
            await self._before_writes()
        if route.stream is not None and identity is not None and route.roles is not None:
            caller = await service.database.read(authorize, identity, route.roles)
            return await route.stream(service, caller, exchange, *ids)
        key = None if route.again is None else _create_key(exchange.request_id, route, ids, arguments)
        told = _Told(exchange.request_id, dict(zip(parameters, ids, strict=True)), digest)
        database = service.database
        run = database.write if route.writes else database.read_point if route.is_point else database.read
        try:
            return await run(_perform, service, route, identity, ids, arguments, key, told)
        except IntegrityError:
            if key is None:
                raise
            # All of it is undone. It repeats a request that was done before, or that is done just now: find what that
            # one made.
            return await run(_perform, service, route, identity, ids, arguments, key, told, is_repeated=True)

    async def _read(
        self, route: Route, exchange: Exchange, parameters: Mapping[str, str], query: bytes
    ) -> tuple[list[Any], list[WireModel], str | None]:
        """The ids of the path, the query and the body that the route takes, and the body's SHA-256 in hex.

        Raises DomainError and HttpProblem.
        """
        ids = [identifier(value, NUMBERS[name]) if name in NUMBERS else value for name, value in parameters.items()]
        arguments: list[WireModel] = []
        digest = None
        if route.query is not None:
            arguments.append(read_model(route.query, _query(query)))
        if route.body is not None:
            body, digest = await read_json(exchange.headers, exchange.body(), route.largest_body)
            arguments.append(read_model(route.body, body, self._service.settings))
        return ids, arguments, digest

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, path: str, correlation: Headers) -> None:
        inner = dict(
            scope, path=path, raw_path=path.encode("utf-8", "surrogatepass"), request_id=correlation["MS-RequestId"]
        )
        added = _encoded(correlation)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._other(inner, receive, answer)

    async def _send_file(
        self, send: Send, status: int, answer: FileAnswer, asked: Headers, correlation: Headers
    ) -> None:
        """Stream a stored file, or the range of it that is asked for, in pieces that are read off the event loop."""
        blob = await asyncio.to_thread(self._service.blobs.stat, answer.blob)
        if blob is None:
            raise HttpProblem(404, "The file is not in the store any more.")
        try:
            unmodified, span = is_unmodified(conditions(asked), blob), byte_range(asked, blob)
        except BlobError as error:
            raise blob_problem(error) from error
        common = {"ETag": blob.etag, "Last-Modified": http_date(blob.last_modified), **answer.headers, **correlation}
        if unmodified:
            await _send(send, 304, b"", common)
            return
        start, end = span or (0, blob.size)
        headers = {"Accept-Ranges": "bytes", "Content-Type": answer.media_type, "Content-Length": str(end - start)}
        if span:
            status, headers["Content-Range"] = 206, f"bytes {start}-{end - 1}/{blob.size}"
        with await asyncio.to_thread(self._service.blobs.open, answer.blob, blob.version) as stream:
            stream.seek(start)
            await send({"type": "http.response.start", "status": status, "headers": _encoded(headers | common)})
            while start < end and (piece := await asyncio.to_thread(stream.read, min(_PIECE, end - start))):
                start += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _perform(
    connection: sa.Connection,
    service: Service,
    route: Route,
    identity: Identity | None,
    ids: Sequence[Any],
    arguments: Sequence[Any],
    key: CreateKey | None,
    told: "_Told",
    *,
    is_repeated: bool = False,
) -> Any:
    """The part of a request that is one transaction.

    A create does not ask first whether it is a repeated one, which few are: its unique key tells. ``is_repeated``: it
    told so. A repeated one does nothing, and is no entry of the audit log.
    """
    call = route.call
    assert call is not None  # noqa: S101 - a route has call or stream
    if identity is None or route.roles is None:
        return call(connection, service, *ids, *arguments)
    caller = authorize(connection, identity, route.roles)
    if key is None or route.again is None:
        document = call(connection, service, caller, *ids, *arguments)
        if route.writes:
            _record(connection, service, route, caller, document, told)
        return document
    if is_repeated and (made := find_created(connection, caller.client_id, key)) is not None:
        return route.again(connection, service, caller, *ids, made)
    try:
        document = call(connection, service, caller, *ids, *arguments)
    except (DomainError, HttpProblem):
        # The request that this one repeats may be the very reason.
        if (made := find_created(connection, caller.client_id, key)) is not None:
            return route.again(connection, service, caller, *ids, made)
        raise
    made = document["id"] if document else ids[-1]
    remember_created(connection, caller.client_id, key, made, service.clock())
    _record(connection, service, route, caller, document, told)
    return document


@dataclass(frozen=True, slots=True)
class _Told:
    """What the audit log tells of a request beside who made it."""

    request_id: str
    ids: Mapping[str, Any]
    body: str | None


def _record(
    connection: sa.Connection, service: Service, route: Route, caller: Caller, document: Any, told: _Told
) -> None:
    """The entry of the audit log, in the transaction of the act."""
    ids = dict(told.ids)
    if route.made is None:
        name, number = ids.popitem()
        thing = NUMBERS[name], number
    else:
        thing = route.made, document["id"]
    details = {"requestId": told.request_id[:LONGEST], "ids": ids or None, "bodySha256": told.body}
    append(connection, act(caller.account_id, service.clock(), caller.actor, route.action, thing, **details))


def _create_key(request_id: str, route: Route, ids: Sequence[Any], arguments: Sequence[WireModel]) -> CreateKey:
    """What tells a repeated create from a new one: the client's own request id, the route and the content."""
    content = "\n".join([f"{route.path} {ids}", *(each.model_dump_json() for each in arguments)])
    return CreateKey(request_id[:100], hashlib.sha256(content.encode()).hexdigest())


def _location(route: Route, document: Any) -> Headers:
    """Where what was created is found."""
    links = document.get("links") if route.status == 201 and isinstance(document, dict) else None
    return {"Location": links[0]["href"]} if links else {}


def _has_it(asked: Headers, etag: str | None) -> bool:
    """Whether the client has this version. Raises HttpProblem 412 when it insists on another one."""
    if etag is None:
        return False
    wanted, had = etags(asked, "if-match"), etags(asked, "if-none-match")
    if wanted and not {"*", etag} & set(wanted):
        raise HttpProblem(412, f"It is now {etag}, which If-Match does not name.", {"ETag": etag})
    return bool({"*", etag} & set(had))


def _headers(scope: Scope) -> dict[str, str]:
    # Of a repeated header the first counts.
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def _query(text: bytes) -> dict[str, Any]:
    """The query; of a repeated parameter the last counts."""
    return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True)) if text else {}


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _send(send: Send, status: int, body: bytes, headers: Headers) -> None:
    start = _encoded(headers)
    if body:
        start.append((b"content-type", JSON.encode()))
    if status not in (204, 304):
        start.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


def no_resource(path: str) -> DomainError:
    """404 for a path that is no route."""
    return DomainError(Code.ENTITY_NOT_FOUND, f"There is no resource at {path[:200]}.")
