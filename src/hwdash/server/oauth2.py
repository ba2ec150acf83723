"""The service's own token endpoint, in the shape of Entra's, so that unchanged clients get their tokens here.

Client credentials only (RFC 6749 4.4): by secret in the body or in HTTP Basic, or by a signed assertion. What clients
really send stands in contract/observed.md 5 and facts/stack.md (Tokens); the AADSTS numbers are those that clients and
people look for. Every URL is built from the public URL, never from the Host header. Nothing here logs a secret, an
assertion or a token.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import parse_qsl, unquote_plus, urlsplit
from uuid import UUID, uuid4

import sqlalchemy as sa
from cryptography import x509
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from hwdash.clock import Clock
from hwdash.server.assertions import AssertionRejected, UsedAssertions, claimed_client, verify_assertion
from hwdash.server.tokens import LIFETIME, RESOURCE, TokenIssuer
from hwdash.storage import accounts, certificates
from hwdash.storage.accounts import Account, Application, SecretCheck

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_MAX_BODY = 128 * 1024
_MAX_FIELDS = 50
_DEFAULT_SCOPE = "/.default"
# OpenID Connect's own scopes, which libraries add; they mean nothing for an application.
_IGNORED_SCOPES = ("openid", "profile", "offline_access", "email")
_NOBODY = str(UUID(int=0))
_NO_STORE = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}

P = ParamSpec("P")
R = TypeVar("R")


class Run(Protocol):
    """Runs ``function(connection, ...)`` in a reading transaction off the event loop: ``Database.read``."""

    def __call__(
        self, function: Callable[Concatenate[sa.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]:
        """The function's result."""
        ...


class _Refusal(Exception):
    """An answer of the token endpoint that is no token: RFC 6749's error code, Entra's number, and a sentence."""

    def __init__(self, error: str, number: int, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.number = number
        self.description = description
        self.status = status


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database knows of who asks for a token."""

    account: Account | None
    application: Application | None
    secret: SecretCheck
    certificates: list[x509.Certificate]


def oauth2_routes(issuer: TokenIssuer, run: Run, clock: Clock, *, single_use_assertions: bool = False) -> APIRouter:
    """The token endpoints (v1 and v2), OpenID discovery, key sets and instance discovery.

    ``run`` reads the database. ``single_use_assertions`` refuses a client assertion that was seen before: safer, but
    msal sends each of its own several times. The memory of it is this process'.
    """
    routes = APIRouter(include_in_schema=False)
    used = UsedAssertions() if single_use_assertions else None
    public_url = issuer.public_url

    async def token(request: Request, tenant: str, version: str) -> JSONResponse:
        try:
            answer = await grant(request, tenant, version)
        except _Refusal as refusal:
            return _refused(request, refusal, clock())
        return JSONResponse(answer, headers=_NO_STORE)

    async def grant(request: Request, tenant: str, version: str) -> dict[str, Any]:
        fields = await _fields(request)
        audience = _audience(fields, issuer.resources, "scope" if version == "2.0" else "resource")
        client_id, secret = _credentials(request, fields)
        assertion = fields.get("client_assertion", "")
        known = await run(_look_up, _guid(tenant), _guid(client_id), secret, clock())
        if known.account is None:
            raise _tenant_not_found(tenant)
        application = known.application
        if application is None or application.account_id != known.account.id:
            raise _Refusal(
                "unauthorized_client",
                700016,
                f"Application with identifier '{_shown(client_id)}' was not found in the directory "
                f"'{known.account.tenant_id}'. Register it with `hwdash admin app`, or use the right tenant.",
            )
        if assertion:
            check_assertion(assertion, application, known.certificates)
        else:
            _check_secret(secret, known.secret)
        text, issued = issuer.mint(
            client_id=application.client_id,
            tenant_id=application.tenant_id,
            roles=application.roles,
            audience=audience,
            version=version,
            by_certificate=bool(assertion),
        )
        return _grant(text, issued, audience, version)

    def check_assertion(assertion: str, application: Application, certificates: list[x509.Certificate]) -> None:
        base = f"{public_url}/{application.tenant_id}".lower()
        audiences = {f"{base}/oauth2/token", f"{base}/oauth2/v2.0/token", base, f"{base}/v2.0"}
        try:
            ends = verify_assertion(
                assertion,
                client_id=application.client_id,
                audiences=audiences,
                certificates=certificates,
                now=clock(),
            )
            if used is not None:
                used.use(assertion, ends, clock())
        except AssertionRejected as error:
            raise _Refusal("invalid_client", error.number, str(error), 401) from error

    async def discovery(request: Request, tenant: str, version: str) -> JSONResponse:
        found = await run(accounts.account_of_tenant, _guid(tenant))
        if found is None:
            return _refused(request, _tenant_not_found(tenant), clock())
        return JSONResponse(_configuration(issuer, found.tenant_id, version))

    @routes.post("/{tenant}/oauth2/token")
    async def token_v1(request: Request, tenant: str) -> JSONResponse:
        return await token(request, tenant, "1.0")

    @routes.post("/{tenant}/oauth2/v2.0/token")
    async def token_v2(request: Request, tenant: str) -> JSONResponse:
        return await token(request, tenant, "2.0")

    @routes.get("/{tenant}/.well-known/openid-configuration")
    async def discovery_v1(request: Request, tenant: str) -> JSONResponse:
        return await discovery(request, tenant, "1.0")

    @routes.get("/{tenant}/v2.0/.well-known/openid-configuration")
    async def discovery_v2(request: Request, tenant: str) -> JSONResponse:
        return await discovery(request, tenant, "2.0")

    @routes.get("/{tenant}/discovery/keys")
    @routes.get("/{tenant}/discovery/v2.0/keys")
    async def keys(tenant: str) -> JSONResponse:
        return JSONResponse(issuer.public_keys())

    @routes.get("/common/discovery/instance")
    async def instance(authorization_endpoint: str = "") -> JSONResponse:
        # The only host there is: this service, whatever host the client asks about.
        host = urlsplit(public_url).netloc
        # https://HOST/TENANT/oauth2/v2.0/authorize
        tenant = _guid("".join(authorization_endpoint.split("/")[3:4]))
        return JSONResponse(
            {
                "tenant_discovery_endpoint": f"{public_url}/{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    return routes


def _look_up(connection: sa.Connection, tenant: str, client_id: str, secret: str, now: datetime) -> _Known:
    """The same queries and comparison whether account, application and secret exist or not."""
    return _Known(
        account=accounts.account_of_tenant(connection, tenant),
        application=accounts.application(connection, client_id),
        secret=accounts.verify_secret(connection, client_id, secret, now),
        certificates=certificates.certificates_of(connection, client_id),
    )


async def _fields(request: Request) -> dict[str, str]:
    """The form, whatever Content-Type it came with. Of a repeated field the first counts."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise _Refusal("invalid_request", 90014, f"The request body is larger than {_MAX_BODY} bytes.", 413)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise _Refusal("invalid_request", 90014, "The request body is not a form.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    if not (grant := fields.get("grant_type")):
        raise _missing("grant_type")
    if grant != "client_credentials":
        raise _Refusal(
            "unsupported_grant_type", 70003, f"The grant type '{_shown(grant)}' is not served, only client_credentials."
        )
    return fields


def _audience(fields: dict[str, str], resources: tuple[str, ...], usual: str) -> str:
    """The audience asked for by ``resource`` (v1) or ``scope`` (v2); both endpoints take either."""
    resource = fields.get("resource")
    if not resource:
        scopes = [each for each in fields.get("scope", "").split() if each not in _IGNORED_SCOPES]
        if not scopes:
            raise _missing(usual)
        if len(scopes) > 1 or not scopes[0].endswith(_DEFAULT_SCOPE):
            asked = _shown(" ".join(scopes))
            raise _Refusal("invalid_scope", 70011, f"Scope '{asked}' is not valid; ask for {RESOURCE}{_DEFAULT_SCOPE}.")
        resource = scopes[0].removesuffix(_DEFAULT_SCOPE)
    if resource not in resources:
        raise _Refusal(
            "invalid_resource", 500011, f"There is no resource '{_shown(resource)}' here; the API is {RESOURCE}."
        )
    return resource


def _credentials(request: Request, fields: dict[str, str]) -> tuple[str, str]:
    """Client id and secret, from the body or else from HTTP Basic; the secret is empty when there is an assertion."""
    client_id, secret = fields.get("client_id", ""), fields.get("client_secret", "")
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic" and not secret:
        try:
            user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            user = colon = password = ""
        if not colon or (client_id and client_id.lower() != unquote_plus(user).lower()):
            raise _Refusal("invalid_client", 7000216, "The Authorization header is not client id and secret.", 401)
        client_id, secret = unquote_plus(user), unquote_plus(password)
    if fields.get("client_assertion"):
        if fields.get("client_assertion_type") != ASSERTION_TYPE:
            raise _Refusal("invalid_request", 50027, f"client_assertion_type must be {ASSERTION_TYPE}.")
        secret = ""
        client_id = client_id or claimed_client(fields["client_assertion"]) or ""
    if not client_id:
        raise _missing("client_id")
    return client_id, secret


def _check_secret(secret: str, check: SecretCheck) -> None:
    if not secret:
        raise _Refusal("invalid_client", 7000216, "client_secret or client_assertion is needed.", 401)
    if check is SecretCheck.EXPIRED:
        raise _Refusal(
            "invalid_client", 7000222, "The client secret has expired: make a new one with `hwdash admin app`.", 401
        )
    if check is not SecretCheck.VALID:
        raise _Refusal(
            "invalid_client", 7000215, "The client secret is wrong. Send the secret itself, not its id.", 401
        )


def _grant(token: str, issued: int, audience: str, version: str) -> dict[str, Any]:
    # One second short, as Entra does, so that no client counts on a token that has just ended.
    lasts = int(LIFETIME.total_seconds()) - 1
    if version == "2.0":
        return {"token_type": "Bearer", "expires_in": lasts, "ext_expires_in": lasts, "access_token": token}
    return {
        "token_type": "Bearer",
        "expires_in": str(lasts),
        "ext_expires_in": str(lasts),
        "expires_on": str(issued + lasts),
        "not_before": str(issued),
        "resource": audience,
        "access_token": token,
    }


def _configuration(issuer: TokenIssuer, tenant: str, version: str) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0, section 3, with the members that Entra's clients read."""
    base = f"{issuer.public_url}/{tenant}"
    infix = "/v2.0" if version == "2.0" else ""
    return {
        "issuer": issuer.issuer(tenant, version),
        # Not served: there are no users to sign in here, but msal refuses a document without it.
        "authorization_endpoint": f"{base}/oauth2{infix}/authorize",
        "token_endpoint": f"{base}/oauth2{infix}/token",
        "jwks_uri": f"{base}/discovery{infix}/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256"],
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
    }


def _refused(request: Request, refusal: _Refusal, now: datetime) -> JSONResponse:
    trace_id = str(uuid4())
    correlation_id = _guid(request.headers.get("client-request-id", ""))
    if correlation_id == _NOBODY:
        correlation_id = str(uuid4())
    timestamp = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    headers = dict(_NO_STORE)
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


def _missing(name: str) -> _Refusal:
    return _Refusal("invalid_request", 900144, f"The request body must contain the parameter '{name}'.")


def _tenant_not_found(tenant: str) -> _Refusal:
    return _Refusal(
        "invalid_request",
        90002,
        f"Tenant '{_shown(tenant)}' not found. Its GUID is what `hwdash init` printed as tenantId.",
    )


def _guid(text: str) -> str:
    """A GUID in its usual spelling; the nil GUID, which nobody has, for anything else."""
    try:
        return str(UUID(text))
    except ValueError:
        return _NOBODY


def _shown(text: str) -> str:
    """A client's text fit for an error message."""
    return "".join(each if each.isprintable() else "?" for each in text[:200])
