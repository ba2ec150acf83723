"""Tokens of Microsoft Entra, or of another issuer in its shape, beside this service's own (settings ``entra_*``).

A token counts when all of this is so:

- it is signed RS256 with a key of the configured set; what else its header names (jku, x5u, jwk, x5c) is not looked at
- ``iss`` is a configured issuer for its ``tid``, ``aud`` the audience asked for, and now is between ``nbf`` and ``exp``
- it speaks for an application that authenticated itself: ``appid`` or ``azp``, with ``appidacr`` or ``azpacr`` 1 or 2,
  and no ``scp``

Account and application are those that are registered under ``tid`` and that id; roles are read here, not in the token.
"""

import asyncio
import importlib
import json
import logging
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry
from starlette.types import ASGIApp, Receive, Scope, Send

from hwdash.clock import Clock
from hwdash.server.assertions import json_part
from hwdash.server.tokens import MAX_TOKEN, Caller, TokenRejected, Verified
from hwdash.settings import Settings

REFRESH_AFTER = timedelta(hours=24)
AT_MOST_EVERY = timedelta(minutes=1)

_MAX_KEYS_BYTES = 512 * 1024
_MAX_KEYS = 100
_MIN_RSA_BITS = 2048

log = logging.getLogger(__name__)


class _Registry(JWSRegistry):
    max_header_length = MAX_TOKEN


class EntraTokens:
    """Verifies the tokens of the configured issuers. Keys are fetched when one is asked for that is not known."""

    def __init__(self, issuers: tuple[str, ...], source: str, audience: str, clock: Clock) -> None:
        self._issuers = issuers
        self._source = source
        self._audiences = (audience, f"{audience}/")
        self._clock = clock
        self._keys: dict[str, RSAKey] = {}
        self._fetched_at: datetime | None = None
        self._lock = asyncio.Lock()

    @classmethod
    def of(cls, settings: Settings, clock: Clock) -> "EntraTokens | None":
        """None where no issuer is configured."""
        if not settings.entra_issuers:
            return None
        return cls(
            tuple(settings.entra_issuers.split()), settings.entra_keys, settings.entra_audience.rstrip("/"), clock
        )

    async def prepare(self, token: str) -> None:
        """Fetch the keys, where this token needs one that is not known or they are a day old; once a minute at most."""
        header = json_part(token.partition(".")[0]) if len(token) <= MAX_TOKEN else None
        if header is None or not isinstance(header.get("kid"), str) or not self._is_due(header["kid"]):
            return
        async with self._lock:
            if self._is_due(header["kid"]):
                self._fetched_at = self._clock()
                await asyncio.to_thread(self._fetch)

    def verify(self, token: str, header: dict[str, Any]) -> Verified:
        """Who a token speaks for, by its signature and claims. Raises TokenRejected."""
        key = self._keys.get(str(header.get("kid")))
        if key is None:
            raise TokenRejected("the token is signed with a key that is not this service's nor a trusted issuer's")
        if "crit" in header or "b64" in header or header.get("typ", "JWT") not in ("JWT", "at+jwt"):
            raise TokenRejected("the header of the token asks for what is not served")
        registry = _Registry(algorithms=["RS256"], strict_check_header=False)
        try:
            claims = jwt.decode(token, key, algorithms=["RS256"], registry=registry).claims
        except (JoseError, ValueError, RecursionError):
            raise TokenRejected("the signature of the token does not hold") from None
        return self._proven(claims)

    def _proven(self, claims: dict[str, Any]) -> Verified:
        tenant_id = _guid(claims.get("tid"))
        if claims.get("iss") not in [each.replace("{tenantid}", str(tenant_id)) for each in self._issuers]:
            raise TokenRejected("the token is of another issuer")
        if claims.get("aud") not in self._audiences:
            raise TokenRejected(f"the token is for another audience than {self._audiences[0]}")
        is_v2 = claims.get("ver") == "2.0"
        client_id = _guid(claims.get("azp" if is_v2 else "appid"))
        if tenant_id is None or client_id is None:
            raise TokenRejected("the token names no application and tenant")
        if "scp" in claims or claims.get("idtyp", "app") != "app":
            raise TokenRejected("the token speaks for a person; only those of applications are taken from that issuer")
        if claims.get("azpacr" if is_v2 else "appidacr") not in ("1", "2"):
            raise TokenRejected("the application of the token did not authenticate itself")
        expires_at, not_before = _time(claims.get("exp")), _time(claims.get("nbf"))
        if expires_at is None or not_before is None:
            raise TokenRejected("the token does not say when it begins and ends")
        return Verified(Caller(client_id, tenant_id, expires_at), not_before)

    def _is_due(self, key_id: str) -> bool:
        if self._fetched_at is None:
            return True
        age = self._clock() - self._fetched_at
        return age >= (REFRESH_AFTER if key_id in self._keys else AT_MOST_EVERY)

    def _fetch(self) -> None:
        """Exchange the keys for those that there are now; the ones before stay where none can be had."""
        try:
            keys = _read_keys(self._content())
        except (OSError, ValueError) as error:
            log.warning("no keys of the trusted issuer could be had from %s: %s", self._source, error)
            return
        if not keys:
            log.warning("there is no RSA key for signatures in %s", self._source)
            return
        self._keys = keys

    def _content(self) -> bytes:
        if not self._source.startswith(("https://", "http://")):
            with Path(self._source).open("rb") as file:
                return _bounded(file.read(_MAX_KEYS_BYTES + 1))
        # The HTTP client is loaded for those who need it: it would delay each start of a service.
        fetched: bytes = importlib.import_module("hwdash.server.key_set").fetch(self._source, _MAX_KEYS_BYTES)
        return fetched


class KeysBeforeRequests:
    """ASGI: sees to it that the keys for a request's token are there, before its token is looked at."""

    def __init__(self, app: ASGIApp, tokens: EntraTokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through."""
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                scheme, _, token = value.decode("latin-1").partition(" ")
                if name == b"authorization" and scheme.casefold() == "bearer":
                    await self._tokens.prepare(token.strip())
                    break
        await self._app(scope, receive, send)


def _read_keys(content: bytes) -> dict[str, RSAKey]:
    """The RSA keys of a JSON Web Key Set (RFC 7517) by their ids. Raises ValueError."""
    try:
        document = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    found = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(found, list) or len(found) > _MAX_KEYS:
        raise ValueError(f"it is no set of at most {_MAX_KEYS} keys")
    keys = {}
    for each in found:
        if not isinstance(each, dict) or each.get("kty") != "RSA" or each.get("use", "sig") != "sig":
            continue
        kid, parts = each.get("kid"), {name: each.get(name) for name in ("kty", "n", "e")}
        if not isinstance(kid, str) or not all(isinstance(value, str) for value in parts.values()):
            continue
        try:
            key = RSAKey.import_key(parts)  # type: ignore[arg-type]  # each is text by now
            public = key.public_key
        except (JoseError, ValueError):
            continue
        if isinstance(public, rsa.RSAPublicKey) and public.key_size >= _MIN_RSA_BITS:
            keys[kid] = key
    return keys


def _bounded(content: bytes) -> bytes:
    if len(content) > _MAX_KEYS_BYTES:
        raise ValueError(f"it has more than {_MAX_KEYS_BYTES} bytes")
    return content


def _guid(value: object) -> str | None:
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _time(value: object) -> float | None:
    """A NumericDate (RFC 7519)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
