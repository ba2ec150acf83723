"""The service's own token endpoint, in the shape of Entra's, so that unchanged clients get their tokens here.

Applications get theirs by client credentials (RFC 6749 4.4): by secret in the body or in HTTP Basic, or by a signed
assertion. What clients really send stands in contract/observed.md 5 and facts/stack.md (Tokens); the AADSTS numbers are
those that clients and people look for. People sign in by device code (device_code.py). Every URL is built from the
public URL, never from the Host header. Nothing here logs a secret, an assertion or a token.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import sqlalchemy as sa
from cryptography import x509
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from hwdash.clock import Clock
from hwdash.domain.audit import APPLICATION, act
from hwdash.server.assertions import AssertionRejected, UsedAssertions, claimed_client, verify_assertion
from hwdash.server.device_code import DEVICE_CODE, POLLS, REFRESH_TOKEN, SignIns
from hwdash.server.refusals import Refusals
from hwdash.server.token_requests import (
    NO_STORE,
    TokenRefusal,
    asked_audience,
    guid,
    missing,
    note_refusal,
    read_form,
    refusal_answer,
    shown,
    tenant_not_found,
)
from hwdash.server.tokens import LIFETIME, TokenIssuer
from hwdash.storage import accounts, certificates
from hwdash.storage.accounts import Account, Application, SecretCheck
from hwdash.storage.audit import append
from hwdash.storage.database import Database

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_CLIENT_CREDENTIALS = "client_credentials"
_GRANTS = (_CLIENT_CREDENTIALS, DEVICE_CODE, REFRESH_TOKEN)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database knows of who asks for a token."""

    account: Account | None
    application: Application | None
    secret: SecretCheck
    certificates: list[x509.Certificate]


def oauth2_routes(
    issuer: TokenIssuer, database: Database, clock: Clock, *, single_use_assertions: bool = False
) -> list[Route]:
    """The token endpoints (v1 and v2), sign-in of people, OpenID discovery, key sets and instance discovery.

    ``single_use_assertions`` refuses a client assertion that was seen before: safer, but
    msal sends each of its own several times. The memory of it is this process'.
    """
    used = UsedAssertions() if single_use_assertions else None
    public_url = issuer.public_url
    run = database.read
    refusals = Refusals(database, clock)
    people = SignIns(issuer, database, clock, refusals)

    async def token(request: Request, version: str) -> JSONResponse:
        try:
            answer = await grant(request, request.path_params["tenant"], version)
        except TokenRefusal as refusal:
            if refusal.error not in POLLS:
                await note_refusal(refusals, request, refusal)
            return refusal_answer(request, refusal, clock())
        return JSONResponse(answer, headers=NO_STORE)

    async def grant(request: Request, tenant: str, version: str) -> dict[str, Any]:
        fields = await read_form(request)
        if not (wanted := fields.get("grant_type")):
            raise missing("grant_type")
        if wanted not in _GRANTS:
            raise TokenRefusal(
                "unsupported_grant_type",
                70003,
                f"The grant type '{shown(wanted)}' is not served, only {', '.join(_GRANTS)}.",
            )
        if wanted != _CLIENT_CREDENTIALS:
            return await people.grant(wanted, fields, guid(tenant), version)
        audience = asked_audience(fields, issuer.resources, "scope" if version == "2.0" else "resource")
        client_id, secret = _credentials(request, fields)
        assertion = fields.get("client_assertion", "")
        known = await run(_look_up, guid(tenant), guid(client_id), secret, clock())
        if known.account is None:
            raise tenant_not_found(tenant)
        application = known.application
        if application is None or application.account_id != known.account.id:
            raise TokenRefusal(
                "unauthorized_client",
                700016,
                f"Application with identifier '{shown(client_id)}' was not found in the directory "
                f"'{known.account.tenant_id}'. Register it with `hwdash admin app`, or use the right tenant.",
            )
        if assertion:
            check_assertion(assertion, application, known.certificates)
        else:
            _check_secret(secret, known.secret)
        if application.is_disabled:
            raise TokenRefusal(
                "unauthorized_client",
                7000112,
                f"Application '{application.client_id}' is disabled. An administrator enables it: "
                "hwdash admin app enable.",
            )
        text, issued = issuer.mint(
            client_id=application.client_id,
            tenant_id=application.tenant_id,
            roles=application.roles,
            audience=audience,
            version=version,
            by_certificate=bool(assertion),
        )
        proof = "certificate" if assertion else "secret"
        thing = "application", application.client_id
        done = act(known.account.id, clock(), (APPLICATION, application.client_id), "get_token", thing, by=proof)
        await database.write(append, done)
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
            raise TokenRefusal("invalid_client", error.number, str(error), 401) from error

    async def token_v1(request: Request) -> JSONResponse:
        return await token(request, "1.0")

    async def token_v2(request: Request) -> JSONResponse:
        return await token(request, "2.0")

    return [
        Route("/{tenant}/oauth2/token", token_v1, methods=["POST"]),
        Route("/{tenant}/oauth2/v2.0/token", token_v2, methods=["POST"]),
        *people.routes(),
        *_discovery(issuer, database, clock),
    ]


def _discovery(issuer: TokenIssuer, database: Database, clock: Clock) -> list[Route]:
    public_url = issuer.public_url

    async def discovery(request: Request, version: str) -> JSONResponse:
        tenant = request.path_params["tenant"]
        found = await database.read(accounts.account_of_tenant, guid(tenant))
        if found is None:
            return refusal_answer(request, tenant_not_found(tenant), clock())
        return JSONResponse(_configuration(issuer, found.tenant_id, version))

    async def discovery_v1(request: Request) -> JSONResponse:
        return await discovery(request, "1.0")

    async def discovery_v2(request: Request) -> JSONResponse:
        return await discovery(request, "2.0")

    async def keys(_request: Request) -> JSONResponse:
        return JSONResponse(issuer.public_keys())

    async def instance(request: Request) -> JSONResponse:
        authorization_endpoint = request.query_params.get("authorization_endpoint", "")
        # The only host there is: this service, whatever host the client asks about.
        host = urlsplit(public_url).netloc
        # https://HOST/TENANT/oauth2/v2.0/authorize
        tenant = guid("".join(authorization_endpoint.split("/")[3:4]))
        return JSONResponse(
            {
                "tenant_discovery_endpoint": f"{public_url}/{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    return [
        Route("/{tenant}/.well-known/openid-configuration", discovery_v1),
        Route("/{tenant}/v2.0/.well-known/openid-configuration", discovery_v2),
        Route("/{tenant}/discovery/keys", keys),
        Route("/{tenant}/discovery/v2.0/keys", keys),
        Route("/common/discovery/instance", instance),
    ]


def _look_up(connection: sa.Connection, tenant: str, client_id: str, secret: str, now: datetime) -> _Known:
    """The same queries and comparison whether account, application and secret exist or not."""
    return _Known(
        account=accounts.account_of_tenant(connection, tenant),
        application=accounts.application(connection, client_id),
        secret=accounts.verify_secret(connection, client_id, secret, now),
        certificates=certificates.certificates_of(connection, client_id),
    )


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
            raise TokenRefusal("invalid_client", 7000216, "The Authorization header is not client id and secret.", 401)
        client_id, secret = unquote_plus(user), unquote_plus(password)
    if fields.get("client_assertion"):
        if fields.get("client_assertion_type") != ASSERTION_TYPE:
            raise TokenRefusal("invalid_request", 50027, f"client_assertion_type must be {ASSERTION_TYPE}.")
        secret = ""
        client_id = client_id or claimed_client(fields["client_assertion"]) or ""
    if not client_id:
        raise missing("client_id")
    return client_id, secret


def _check_secret(secret: str, check: SecretCheck) -> None:
    if not secret:
        raise TokenRefusal("invalid_client", 7000216, "client_secret or client_assertion is needed.", 401)
    if check is SecretCheck.EXPIRED:
        raise TokenRefusal(
            "invalid_client", 7000222, "The client secret has expired: make a new one with `hwdash admin app`.", 401
        )
    if check is not SecretCheck.VALID:
        raise TokenRefusal(
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
        # Not served: people sign in by device code, but msal refuses a document without it.
        "authorization_endpoint": f"{base}/oauth2{infix}/authorize",
        "token_endpoint": f"{base}/oauth2{infix}/token",
        "jwks_uri": f"{base}/discovery{infix}/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256"],
        "device_authorization_endpoint": f"{base}/oauth2{infix}/devicecode",
        "grant_types_supported": list(_GRANTS),
        "response_types_supported": ["token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
    }
