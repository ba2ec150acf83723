"""What the endpoints for tokens have in common: the form of a request, and refusals in the shape of Entra's.

Nothing here logs a secret, an assertion or a token.
"""

import asyncio
from datetime import UTC, datetime
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import JSONResponse

from hwdash.domain.audit import SERVICE, UNKNOWN
from hwdash.server.refusals import Refusals
from hwdash.server.requests import BODY_SECONDS
from hwdash.server.tokens import RESOURCE
from hwdash.storage.accounts import account_of_tenant

NO_STORE = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}

_MAX_BODY = 128 * 1024
_MAX_FIELDS = 50
_DEFAULT_SCOPE = "/.default"
# OpenID Connect's own scopes, which libraries add; they mean nothing here.
_IGNORED_SCOPES = ("openid", "profile", "offline_access", "email")
_NOBODY = str(UUID(int=0))


class TokenRefusal(Exception):
    """An answer of the token endpoint that is no token: RFC 6749's error code, Entra's number, and a sentence."""

    def __init__(self, error: str, number: int, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.number = number
        self.description = description
        self.status = status


async def read_form(request: Request) -> dict[str, str]:
    """The form, whatever Content-Type it came with. Of a repeated field the first counts."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MAX_BODY:
                    text = f"The request body is larger than {_MAX_BODY} bytes."
                    raise TokenRefusal("invalid_request", 90014, text, 413)
    except TimeoutError:
        text = f"The request body did not come in {BODY_SECONDS} seconds."
        raise TokenRefusal("invalid_request", 90014, text, 408) from None
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise TokenRefusal("invalid_request", 90014, "The request body is not a form.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def asked_audience(fields: dict[str, str], resources: tuple[str, ...], usual: str) -> str:
    """The audience asked for by ``resource`` (v1) or ``scope`` (v2); both endpoints take either."""
    resource = fields.get("resource")
    if not resource:
        scopes = [each for each in fields.get("scope", "").split() if each not in _IGNORED_SCOPES]
        if not scopes:
            raise missing(usual)
        if len(scopes) > 1 or not scopes[0].endswith(_DEFAULT_SCOPE):
            asked = shown(" ".join(scopes))
            raise TokenRefusal(
                "invalid_scope", 70011, f"Scope '{asked}' is not valid; ask for {RESOURCE}{_DEFAULT_SCOPE}."
            )
        resource = scopes[0].removesuffix(_DEFAULT_SCOPE)
    if resource not in resources:
        raise TokenRefusal(
            "invalid_resource", 500011, f"There is no resource '{shown(resource)}' here; the API is {RESOURCE}."
        )
    return resource


def refusal_answer(request: Request, refusal: TokenRefusal, now: datetime) -> JSONResponse:
    """RFC 6749 5.2, with the members that Entra adds."""
    trace_id = str(uuid4())
    correlation_id = guid(request.headers.get("client-request-id", ""))
    if correlation_id == _NOBODY:
        correlation_id = str(uuid4())
    timestamp = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    headers = dict(NO_STORE)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="hwdash"'
    return JSONResponse(
        {
            "error": refusal.error,
            "error_description": f"AADSTS{refusal.number}: {refusal.description} "
            f"Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}",
            "error_codes": [refusal.number],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
        },
        status_code=refusal.status,
        headers=headers,
    )


async def note_refusal(refusals: Refusals, request: Request, refusal: TokenRefusal) -> None:
    """An entry of the audit log for a token that was not given. What the client sent is none of it: it may be a secret
    in the wrong place.
    """
    tenant = guid(request.path_params["tenant"])
    address = request.client.host if request.client else ""

    def who(connection: sa.Connection) -> tuple[int, tuple[str, object]]:
        account = account_of_tenant(connection, tenant)
        return SERVICE if account is None else account.id, (UNKNOWN, address)

    await refusals.note(who, ("request", "get_token"), f"AADSTS{refusal.number} {refusal.error}")


def missing(name: str) -> TokenRefusal:
    """A parameter is not there."""
    return TokenRefusal("invalid_request", 900144, f"The request body must contain the parameter '{name}'.")


def tenant_not_found(tenant: str) -> TokenRefusal:
    """There is no such tenant."""
    return TokenRefusal(
        "invalid_request",
        90002,
        f"Tenant '{shown(tenant)}' not found. Its GUID is what `hwdash init` printed as tenantId.",
    )


def guid(text: str) -> str:
    """A GUID in its usual spelling; the nil GUID, which nobody has, for anything else."""
    try:
        return str(UUID(text))
    except ValueError:
        return _NOBODY


def shown(text: str) -> str:
    """A client's text fit for an error message."""
    return "".join(each if each.isprintable() else "?" for each in text[:200])
