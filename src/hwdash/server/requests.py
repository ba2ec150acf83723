"""What a request says: who calls, and the JSON it brings."""

import asyncio
import codecs
from collections.abc import AsyncIterator, Collection, Mapping
from hashlib import sha256
from typing import Any, TypeVar

import sqlalchemy as sa
from pydantic import ValidationError
from pydantic_core import from_json

from hwdash.domain.access import check_access
from hwdash.server.errors import HttpProblem, MalformedBody, invalid_input
from hwdash.server.route import Caller
from hwdash.server.service import Service
from hwdash.server.tokens import TokenRejected
from hwdash.settings import Settings
from hwdash.storage.principals import find_principal
from hwdash.vocabulary import Role
from hwdash.wire.base import WireModel

M = TypeVar("M", bound=WireModel)

BODY_SECONDS = 120
"""For all of a body of JSON to come, or of a form."""

Identity = tuple[str, str]
"""The client id, or a person's user id, and the tenant id that a token proves."""


def bearer(headers: Mapping[str, str]) -> str:
    """The request's access token. Raises HttpProblem 401."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.casefold() != "bearer" or not token.strip():
        raise unauthenticated("The request has no access token: send Authorization: Bearer TOKEN.")
    return token.strip()


def unauthenticated(message: str) -> HttpProblem:
    """401: the token is missing or not good."""
    return HttpProblem(401, message, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def authenticate(service: Service, headers: Mapping[str, str]) -> Identity:
    """Who the request's token speaks for. Raises HttpProblem 401."""
    try:
        verified = service.tokens.verify(bearer(headers))
    except TokenRejected as error:
        raise unauthenticated(f"The access token was refused: {error}") from error
    return verified.principal, verified.tenant_id


def authorize(connection: sa.Connection, identity: Identity, roles: Collection[Role]) -> Caller:
    """The caller behind a proven identity, as the database knows it now. Raises DomainError, forbidden (403)."""
    known = check_access(find_principal(connection, *identity), roles)
    return Caller(known.id, known.account_id, known.roles, known.is_person)


async def read_json(
    headers: Mapping[str, str], chunks: AsyncIterator[bytes], largest: int
) -> tuple[dict[str, Any], str]:
    """The request's body, a JSON object of at most so many bytes, and its SHA-256 in hex.

    Raises 415, 413, 408 and 400.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        raise HttpProblem(415, f"The body must be application/json, not {media_type}.")
    coding = headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        message = f"The body must be sent as it is, not in the coding {coding[:40]}."
        raise HttpProblem(415, message, {"Accept-Encoding": "identity"})
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in chunks:
                body += chunk
                if len(body) > largest:
                    raise HttpProblem(413, f"The body is larger than {largest >> 20} MB.")
    except TimeoutError:
        raise HttpProblem(408, f"The body did not come in {BODY_SECONDS} seconds.") from None
    try:
        # Bounded in depth, linear in time, strict: unlike json.loads it knows no NaN and no lone surrogates.
        value = from_json(bytes(body).removeprefix(codecs.BOM_UTF8), allow_inf_nan=False)
    except ValueError as error:
        raise MalformedBody(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedBody(f"The body must be a JSON object, not {type(value).__name__}.")
    if b"\\u0000" in body and _has_nul(value):
        raise MalformedBody("The body has a NUL character (\\u0000) in a text, which is not stored.")
    return value, sha256(body).hexdigest()


def read_model(model: type[M], value: Mapping[str, Any], settings: Settings | None = None) -> M:
    """A body or a query as its wire model, by the service's settings. Raises invalidInput with every finding."""
    try:
        return model.model_validate(value, context=settings)
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
