"""What every request of the API goes through: path forms, correlation headers, caller and role, JSON body."""

import codecs
import hashlib
import re
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from fastapi import Request
from pydantic import ValidationError
from pydantic_core import from_json
from sqlalchemy.exc import IntegrityError
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hwdash.domain.errors import Code, DomainError, not_found
from hwdash.server.errors import HttpProblem, invalid_input
from hwdash.server.service import Service
from hwdash.server.tokens import TokenRejected
from hwdash.storage.accounts import application
from hwdash.storage.creates import CreateKey
from hwdash.vocabulary import Role
from hwdash.wire.base import WireModel

M = TypeVar("M", bound=WireModel)
P = ParamSpec("P")
R = TypeVar("R")

# contract/api.md 1.1: every form in which clients and documents were seen to write the base.
_BASE = re.compile(r"/(?:api/)?v(?:1|1\.0|2\.0)/(?:my/)?hardware(?=/|$)", re.IGNORECASE)
_SEGMENTS = {
    each.casefold(): each
    for each in (
        "products",
        "submissions",
        "commit",
        "createpublishermetadata",
        "shippingLabels",
        "cancel",
        "audiences",
        "preprod",
    )
}
CANONICAL_BASE = "/v2.0/my/hardware"
CORRELATION_HEADERS = ("MS-CorrelationId", "MS-RequestId")
MAX_BODY = 1 << 20

HARDWARE_ROLES = frozenset(Role) - {Role.MANAGER}
SUBMITTERS = frozenset({Role.DRIVER_SUBMITTER, Role.ADMINISTRATOR})


class WireForms:
    """ASGI: one canonical path for every form of it, and the correlation headers on every answer, made when absent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the request's path and the answer's headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        correlation = {name: headers.get(name) or str(uuid.uuid4()) for name in CORRELATION_HEADERS}
        path = canonical_path(scope["path"])
        inner = dict(
            scope, path=path, raw_path=path.encode("utf-8", "surrogatepass"), request_id=correlation["MS-RequestId"]
        )

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                written = MutableHeaders(scope=message)
                for name, value in correlation.items():
                    written[name] = value
            await send(message)

        await self._app(inner, receive, answer)


def canonical_path(path: str) -> str:
    """The path under which a route is registered: no trailing slash, the v2.0 base, the documented casing of the
    segments.
    """
    if path.endswith("/") and path != "/":
        path = path[:-1]
    base = _BASE.match(path)
    if base is None:
        return path
    rest = path[base.end() :].split("/")
    return CANONICAL_BASE + "/".join(_SEGMENTS.get(each.casefold(), each) for each in rest)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and for which account."""

    client_id: str
    account_id: int


def bearer(request: Request) -> str:
    """The request's access token. Raises HttpProblem 401."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() != "bearer" or not token.strip():
        raise unauthenticated("The request has no access token: send Authorization: Bearer TOKEN.")
    return token.strip()


def unauthenticated(message: str) -> HttpProblem:
    """401: the token is missing or not good."""
    return HttpProblem(401, message, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def authenticate(service: Service, request: Request) -> tuple[str, str]:
    """The client id and the tenant id that the token proves. Raises HttpProblem 401."""
    try:
        verified = service.tokens.verify(bearer(request))
    except TokenRejected as error:
        raise unauthenticated(f"The access token was refused: {error}") from error
    return verified.client_id, verified.tenant_id


def authorize(connection: sa.Connection, identity: tuple[str, str], roles: Collection[Role]) -> Caller:
    """The caller behind a proven identity, as the database knows it now. Raises 401 and 403."""
    client_id, tenant_id = identity
    known = application(connection, client_id)
    if known is None or known.tenant_id != tenant_id:
        raise unauthenticated("The application of this token is not associated with an account any more.")
    held = set(known.roles)
    if Role.MANAGER not in held:
        raise DomainError(
            Code.FORBIDDEN,
            "The application does not hold the Manager role in its account. An administrator adds it: "
            "hwdash admin app roles.",
        )
    if held.isdisjoint(roles):
        wanted = " or ".join(sorted(roles)) if len(roles) < 4 else "a hardware role"
        raise DomainError(Code.FORBIDDEN, f"This request needs the role {wanted}.")
    return Caller(client_id, known.account_id)


async def read_body(request: Request, model: type[M]) -> M:
    """The request's JSON body as a wire model. Raises 415, 413, 400, and invalidInput with every finding."""
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        raise HttpProblem(415, f"The body must be application/json, not {media_type}.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HttpProblem(413, f"The body is larger than {MAX_BODY >> 20} MB.")
    try:
        # Bounded in depth, linear in time, strict: unlike json.loads it knows no NaN and no lone surrogates.
        value = from_json(bytes(body).removeprefix(codecs.BOM_UTF8), allow_inf_nan=False)
    except ValueError as error:
        raise HttpProblem(400, f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise HttpProblem(400, f"The body must be a JSON object, not {type(value).__name__}.")
    if b"\\u0000" in body and _has_nul(value):
        raise HttpProblem(400, "The body has a NUL character (\\u0000) in a text, which is not stored.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid_input(error) from error


def _has_nul(value: object) -> bool:
    left = [value]
    while left:
        match left.pop():
            case str(text):
                if "\0" in text:
                    return True
            case list(items):
                left += items
            case dict(members):
                left += members.keys()
                left += members.values()
    return False


def create_key(request: Request, wanted: WireModel) -> CreateKey:
    """What tells a repeated create from a new one: the client's own request id, the route and the content."""
    content = f"{request.url.path}\n{wanted.model_dump_json()}"
    return CreateKey(request.scope["request_id"][:100], hashlib.sha256(content.encode()).hexdigest())


async def write_create(
    service: Service, function: Callable[Concatenate[sa.Connection, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run a create in a transaction of its own; where another was quicker, once more, to find what that one made."""
    try:
        return await service.database.write(function, *args, **kwargs)
    except IntegrityError:
        return await service.database.write(function, *args, **kwargs)


def identifier(text: str, what: str) -> int:
    """An id of a path: decimal digits of an int64, anything else does not exist."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) >= 1 << 63:
        raise not_found(what, text[:40])
    return int(text)
