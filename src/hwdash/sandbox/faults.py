"""The wrapper around the application: faults on the wire, and answers in other shapes (ASGI).

The service behind it knows nothing of it. A request is looked at before it is passed on, and a JSON answer before it is
given out; bodies of packages stream through.
"""

import asyncio
import html
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy as sa
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwdash.clock import Clock
from hwdash.domain.errors import Code, DomainError
from hwdash.sandbox.answers import Shaping, shape, shapes
from hwdash.sandbox.magic import magic_scenario
from hwdash.sandbox.playbill import Playbill
from hwdash.sandbox.routes import named_route
from hwdash.sandbox.scenario import Answer, CutOff, Delay, Effect, Occasion
from hwdash.sandbox.scenario_file import ScenarioError
from hwdash.server.errors import domain_answer
from hwdash.server.service import Service
from hwdash.server.tokens import TokenRejected
from hwdash.storage.tables import applications, downloads, products, submissions

RULE = "hwdash.sandbox.rule"
"""Where the recorder finds in the scope which rules struck."""

MAX_LOOKED_AT = 1 << 20
JSON = "application/json; charset=utf-8"
Sleep = Callable[[float], Awaitable[None]]

_NEVER_READ = ("blob", "preproduction")


@dataclass(frozen=True, slots=True)
class _Request:
    """What is known of a request before it is passed on."""

    occasion: Occasion
    wanted_name: str
    """The product's name that the body asks for."""


class Faults:
    """ASGI: the application with the effects of the playbill on requests and answers."""

    def __init__(
        self, app: ASGIApp, service: Service, playbill: Playbill, clock: Clock, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._app = app
        self._service = service
        self._playbill = playbill
        self._clock = clock
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        route, ids = named_route(scope["path"])
        body = b""
        if route not in _NEVER_READ:
            body, receive = await _read_ahead(receive)
        request = await self._look(scope, route, ids, body)
        if (refused := _magic_refusal(request.wanted_name)) is not None:
            await _answer_json(send, *refused)
            return
        struck = self._playbill.effects(request.occasion, lambda effect: isinstance(effect, Answer | Delay | CutOff))
        scope[RULE] = [each.rule for each in struck]
        answer: Answer | None = None
        for effect in (each.effect for each in struck):
            if isinstance(effect, Delay):
                await self._sleep(effect.span.total_seconds())
            if isinstance(effect, CutOff):
                send = _cut_off(send, effect.bytes)
            if isinstance(effect, Answer):
                answer = effect
        if answer is None:
            await self._app(scope, receive, self._shaped(scope, request, send))
            return
        if answer.after:
            await self._app(scope, receive, _nowhere)
        await _fault(send, route, scope, answer)

    async def _look(self, scope: Scope, route: str, ids: Mapping[str, str], body: bytes) -> _Request:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        wanted = _wanted_name(route, scope["method"], body)
        caller = self._caller(route, headers, body)
        found = await self._service.database.read(_found, ids, caller)
        occasion = Occasion(
            account=found.account,
            product_id=found.product_id,
            product=found.product if found.product is not None else wanted,
            submission_id=found.submission_id,
            method=scope["method"],
            path=scope["path"],
            query=frozenset(name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), True)),
            headers=frozenset(headers),
        )
        return _Request(occasion, wanted)

    def _caller(self, route: str, headers: Mapping[str, str], body: bytes) -> str:
        """The client id that the request speaks for, "" without a good token: the service judges that, not this."""
        if route == "token":
            return dict(parse_qsl(body.decode("latin-1"))).get("client_id", "")
        token = headers.get("authorization", "").partition(" ")[2].strip()
        try:
            return self._service.tokens.verify(token).client_id if token else ""
        except TokenRejected:
            return ""

    def _shaped(self, scope: Scope, request: _Request, send: Send) -> Send:
        """A ``send`` that holds a JSON answer until it is complete, and then gives it out as the playbill wants it."""
        start: Message | None = None
        held = bytearray()

        async def forward(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if not _is_json(message):
                    await send(message)
                    return
                start = message
            elif start is None:
                await send(message)
            else:
                held.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await self._give_out(scope, request, start, bytes(held), send)

        return forward

    async def _give_out(self, scope: Scope, request: _Request, start: Message, body: bytes, send: Send) -> None:
        refusals = self._playbill.effects(
            replace(request.occasion, answered=start["status"]), lambda effect: isinstance(effect, Answer)
        )
        if refusals:
            scope[RULE] += [each.rule for each in refusals]
            answer = refusals[-1].effect
            assert isinstance(answer, Answer)  # noqa: S101 - asked for above
            await _fault(send, request.occasion.route, scope, answer)
            return
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if isinstance(document, dict) and start["status"] < 400:
            # Only now: the workflow may have ended while the request was answered, and then the answer lists all.
            submission_id = request.occasion.submission_id
            finished_at = await self._service.database.read(_finished_at, submission_id) if submission_id else None
            shaping = Shaping(document, self._service.sas, self._clock(), finished_at)

            def comes(effect: Effect) -> bool:
                return shapes(effect, shaping)

            struck = self._playbill.effects(request.occasion, comes)
            for each in struck:
                shape(each.effect, shaping)
            if struck:
                scope[RULE] += [each.rule for each in struck]
                body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        await send({**start, "headers": _with_length(start["headers"], len(body))})
        await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True, slots=True)
class _Found:
    """What the database knows of what a request is about."""

    account: int | None = None
    product_id: int | None = None
    product: str | None = None
    submission_id: int | None = None


def _found(connection: sa.Connection, ids: Mapping[str, str], client_id: str) -> _Found:
    submission_id = _number(ids.get("submission"))
    product_id = _number(ids.get("product"))
    if "blob" in ids:
        submission_id = connection.execute(
            sa.select(submissions.c.id)
            .outerjoin(downloads, downloads.c.submission_id == submissions.c.id)
            .where(sa.or_(submissions.c.package_blob == ids["blob"], downloads.c.blob == ids["blob"]))
            # What is shared has rows of several accounts: the author's is the oldest.
            .order_by(submissions.c.created_at, submissions.c.id)
            .limit(1)
        ).scalar_one_or_none()
    account = connection.execute(
        sa.select(applications.c.account_id).where(applications.c.client_id == client_id)
    ).scalar_one_or_none()
    if submission_id is not None:
        row = connection.execute(
            sa.select(submissions.c.product_id).where(submissions.c.id == submission_id)
        ).one_or_none()
        if row is not None:
            product_id = row.product_id
    if product_id is not None:
        product = connection.execute(
            sa.select(products.c.account_id, products.c.name).where(products.c.id == product_id)
        ).one_or_none()
        # Of another account's product nobody learns that it is there, nor what its name asks for.
        if product is not None and (product.account_id == account or "blob" in ids):
            return _Found(product.account_id, product_id, product.name, submission_id)
    return _Found(account)


def _finished_at(connection: sa.Connection, submission_id: int) -> datetime | None:
    return connection.execute(
        sa.select(submissions.c.finished_at).where(submissions.c.id == submission_id)
    ).scalar_one_or_none()


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and int(text) < 1 << 63 else None


def _wanted_name(route: str, method: str, body: bytes) -> str:
    """The product's name in the body of a create or an update."""
    if (route, method) not in {("products", "POST"), ("product", "PATCH")}:
        return ""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    names = (
        [value for name, value in document.items() if name.casefold() == "productname"]
        if isinstance(document, dict)
        else []
    )
    return names[-1] if names and isinstance(names[-1], str) else ""


def _magic_refusal(name: str) -> tuple[int, bytes] | None:
    """A magic name that cannot be played is refused at once: a typing error must not look like a good day."""
    try:
        magic_scenario(name)
    except ScenarioError as error:
        findings = [("productName", finding) for finding in error.findings]
        status, body, _ = domain_answer(
            DomainError(Code.INVALID_INPUT, "The product's name asks for what the sandbox cannot play.", findings),
            str(uuid.uuid4()),
        )
        return status, body
    return None


async def _read_ahead(receive: Receive) -> tuple[bytes, Receive]:
    """The body, up to ``MAX_LOOKED_AT``, and a ``receive`` that gives all of it once more."""
    messages: list[Message] = []
    body = bytearray()
    more = True
    while more and len(body) <= MAX_LOOKED_AT:
        message = await receive()
        messages.append(message)
        body += message.get("body", b"")
        more = message["type"] == "http.request" and message.get("more_body", False)

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return bytes(body), again


def _is_json(start: Message) -> bool:
    return any(name.lower() == b"content-type" and b"json" in value for name, value in start["headers"])


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return [*kept, (b"content-length", str(length).encode())]


def _cut_off(send: Send, allowed: int) -> Send:
    """A ``send`` that never ends the answer: the server closes the connection of an answer that is not complete."""
    left = allowed

    async def cut(message: Message) -> None:
        nonlocal left
        if message["type"] == "http.response.body":
            body = bytes(message.get("body", b""))[:left]
            left -= len(body)
            message = {"type": "http.response.body", "body": body, "more_body": True}
        await send(message)

    return cut


async def _nowhere(_message: Message) -> None:
    return


async def _answer_json(send: Send, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
    await _answer(send, status, body, {"content-type": JSON, **(headers or {})})


async def _answer(send: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": _with_length(encoded, len(body))})
    await send({"type": "http.response.body", "body": body})


_SAID = {
    403: "The sandbox refuses this request, as its scenario says.",
    429: "There were too many requests.",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
}


async def _fault(send: Send, route: str, scope: Scope, answer: Answer) -> None:
    """The answer of a scenario, in the form that the route's errors have."""
    message = answer.message or _SAID.get(answer.status, "The sandbox answers so, as its scenario says.")
    headers = {}
    if answer.retry_after is not None:
        headers["retry-after"] = str(answer.retry_after)
        message += f" Try again in {answer.retry_after} seconds."
    for name, value in scope["headers"]:
        if name.lower() in {b"ms-requestid", b"ms-correlationid"}:
            headers[name.decode("latin-1")] = value.decode("latin-1")
    if answer.html:
        page = f"<html><head><title>{answer.status}</title></head><body>{html.escape(message)}</body></html>"
        await _answer(send, answer.status, page.encode(), headers | {"content-type": "text/html"})
    elif route == "blob":
        code = "AuthenticationFailed" if answer.status == 403 else "ServerBusy"
        xml = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{html.escape(message)}'
        body = b"" if scope["method"] == "HEAD" else f"{xml}</Message></Error>".encode()
        await _answer(send, answer.status, body, headers | {"content-type": "application/xml", "x-ms-error-code": code})
    else:
        await _answer_json(send, answer.status, _json_error(route, answer.status, message), headers)


def _json_error(route: str, status: int, message: str) -> bytes:
    document: dict[str, Any]
    if route == "token":
        document = {"error": "temporarily_unavailable" if status >= 429 else "invalid_request"}
        document["error_description"] = message
    else:
        # contract/observed.md 1: the gateway's number is a number here, and an activity id comes with it.
        document = {"statusCode": status, "message": message, "activityId": str(uuid.uuid4())}
    return json.dumps(document).encode()
