"""Access tokens of the service's own token endpoint.

The claims are those that Entra puts into an application's tokens (v1.0 and v2.0), signed RS256. A token proves which
application of which tenant calls, and no more: account and roles are read from the database at each request, so that a
role taken away is gone at once and not an hour later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4, uuid5

from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from hwdash.clock import Clock
from hwdash.server.assertions import json_part
from hwdash.signing.errors import KeysError
from hwdash.signing.keys import Credential, KeyFolder

RESOURCE = "https://manage.devcenter.microsoft.com"
LIFETIME = timedelta(minutes=60)

# Between the clocks of several API machines.
_CLOCK_SKEW = 60
_KEY_NAME = "tokens"
MAX_TOKEN = 16 * 1024
_MAX_CACHED = 10_000
# Any fixed GUID does: it makes an application's object id from its client id.
_OBJECT_IDS = UUID("6ad47b31-5cb8-4c0f-a0dd-0a3dd2f5d7a8")


class TokenRejected(Exception):
    """A bearer token does not count. The message says why and holds nothing of the token."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as far as a token can prove it."""

    client_id: str
    tenant_id: str
    expires_at: float  # seconds since 1970
    user_id: str | None = None
    """The person for whom the client calls; None where it calls for itself."""

    @property
    def principal(self) -> str:
        """Whose roles count: the person's, or else the application's."""
        return self.user_id or self.client_id


@dataclass(frozen=True, slots=True)
class Person:
    """Who a person's token speaks for."""

    id: str
    login: str
    name: str
    roles: Sequence[str]


@dataclass(frozen=True, slots=True)
class Verified:
    """A caller, and when the token begins to count, in seconds since 1970."""

    caller: Caller
    not_before: float


def ensure_token_key(keys: KeyFolder, *, key_size: int = 2048) -> rsa.RSAPrivateKey:
    """The key ``tokens`` of a key folder, made when it is absent. Raises KeysError.

    Not the folder of the signing keys: this process needs the passphrase of this one, and must not have the other's.
    """
    with keys.locked():
        if not keys.has(_KEY_NAME):
            keys.write(_KEY_NAME, Credential(rsa.generate_private_key(65537, key_size), ()))
        key = keys.read(_KEY_NAME).key
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeysError(f"{keys.file(_KEY_NAME)} must be an RSA key: tokens are signed RS256")
    return key


class TokenIssuer:
    """Mints and verifies the tokens of the service behind ``public_url``, with one RSA key.

    Several API processes that share the key accept each other's tokens. ``foreign`` verifies those that are signed
    RS256 with another key: it gets a token and its header.
    """

    def __init__(
        self,
        key: rsa.RSAPrivateKey,
        public_url: str,
        clock: Clock,
        *,
        foreign: Callable[[str, dict[str, Any]], Verified] | None = None,
    ) -> None:
        self._foreign = foreign
        self._key = RSAKey.import_key(key)
        self.key_id = self._key.thumbprint()
        self.public_url = public_url.rstrip("/")
        self._clock = clock
        self._verified: dict[bytes, Verified] = {}

    @property
    def resources(self) -> tuple[str, ...]:
        """The audiences a token may be for: Microsoft's name of the API or this service's, with and without a slash."""
        return (RESOURCE, f"{RESOURCE}/", self.public_url, f"{self.public_url}/")

    def issuer(self, tenant_id: str, version: str) -> str:
        """The ``iss`` claim for a tenant, by token version "1.0" or "2.0"."""
        return f"{self.public_url}/{tenant_id}/" + ("v2.0" if version == "2.0" else "")

    def public_keys(self) -> dict[str, Any]:
        """The JSON Web Key Set that verifies the tokens (RFC 7517)."""
        return {"keys": [{**self._key.as_dict(private=False), "use": "sig", "alg": "RS256", "kid": self.key_id}]}

    def mint(
        self, *, client_id: str, tenant_id: str, roles: Sequence[str], audience: str, version: str, by_certificate: bool
    ) -> tuple[str, int]:
        """A token and the time of its issue in seconds since 1970; it ends ``LIFETIME`` later."""
        object_id = str(uuid5(_OBJECT_IDS, client_id))
        method = "2" if by_certificate else "1"
        claims: dict[str, Any] = {"idtyp": "app", "oid": object_id, "roles": list(roles), "sub": object_id}
        return self._mint(claims, client_id, method, tenant_id, audience, version)

    def mint_for_person(
        self, person: Person, *, client_id: str, tenant_id: str, audience: str, version: str
    ) -> tuple[str, int]:
        """The same for a person who signed in to the client of ``client_id``."""
        claims: dict[str, Any] = {
            "idtyp": "user",
            "name": person.name,
            "oid": person.id,
            "preferred_username": person.login,
            "roles": list(person.roles),
            "scp": "user_impersonation",
            "sub": person.id,
        }
        return self._mint(claims, client_id, "0", tenant_id, audience, version)

    def mint_id_token(self, person: Person, *, client_id: str, tenant_id: str, version: str) -> str:
        """Who signed in, for the client itself (OpenID Connect Core 1.0, section 2). It opens nothing here."""
        claims = {
            "name": person.name,
            "oid": person.id,
            "preferred_username": person.login,
            "sub": person.id,
        }
        return self._sign(claims, tenant_id, client_id, version)[0]

    def _mint(
        self, claims: dict[str, Any], client_id: str, method: str, tenant_id: str, audience: str, version: str
    ) -> tuple[str, int]:
        if version == "2.0":
            claims |= {"azp": client_id, "azpacr": method}
        else:
            claims |= {"appid": client_id, "appidacr": method, "idp": self.issuer(tenant_id, version)}
        return self._sign(claims, tenant_id, audience, version)

    def _sign(self, claims: dict[str, Any], tenant_id: str, audience: str, version: str) -> tuple[str, int]:
        now = int(self._clock().timestamp())
        always = {
            "aud": audience,
            "iss": self.issuer(tenant_id, version),
            "iat": now,
            "nbf": now,
            "exp": now + int(LIFETIME.total_seconds()),
            "tid": tenant_id,
            "uti": uuid4().hex,
            "ver": version,
        }
        header = {"typ": "JWT", "alg": "RS256", "kid": self.key_id}
        return jwt.encode(header, always | claims, self._key, algorithms=["RS256"]), now

    def verify(self, token: str) -> Caller:
        """Who a bearer token speaks for. Raises TokenRejected.

        A token that was accepted is remembered by its SHA-256 until it ends, so that a client's polling costs one
        RSA operation an hour.
        """
        now = self._clock().timestamp()
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is None:
            known = self._verify(token)
        if now >= known.caller.expires_at:
            self._verified.pop(digest, None)
            raise TokenRejected("the token has expired")
        if now < known.not_before - _CLOCK_SKEW:
            raise TokenRejected("the token is not valid yet")
        if digest not in self._verified:
            while len(self._verified) >= _MAX_CACHED:
                self._verified.pop(next(iter(self._verified)), None)
            self._verified[digest] = known
        return known.caller

    def _verify(self, token: str) -> Verified:
        if len(token) > MAX_TOKEN or not token.isascii():
            raise TokenRejected(f"the token is not ASCII of at most {MAX_TOKEN} bytes")
        header = json_part(token.partition(".")[0])
        if header is None:
            raise TokenRejected("the token is not a JSON Web Token")
        if header.get("alg") != "RS256":
            raise TokenRejected("the token is not signed with RS256")
        if header.get("kid") != self.key_id:
            if self._foreign is not None:
                return self._foreign(token, header)
            raise TokenRejected("the token is signed with a key that is not this service's")
        if set(header) != {"typ", "alg", "kid"}:
            raise TokenRejected("the header of the token has members that this service does not write")
        try:
            claims = jwt.decode(token, self._key, algorithms=["RS256"]).claims
        except (JoseError, ValueError, RecursionError):
            raise TokenRejected("the signature of the token does not hold") from None
        return self._proven(claims)

    def _proven(self, claims: dict[str, Any]) -> Verified:
        version, tenant_id, expires_at, not_before = (claims.get(name) for name in ("ver", "tid", "exp", "nbf"))
        client_id = claims.get("azp" if version == "2.0" else "appid")
        if not (isinstance(tenant_id, str) and isinstance(client_id, str)):
            raise TokenRejected("the token names no application and tenant")
        if claims.get("iss") not in {self.issuer(tenant_id, "1.0"), self.issuer(tenant_id, "2.0")}:
            raise TokenRejected("the token is of another issuer")
        if claims.get("aud") not in self.resources:
            raise TokenRejected(f"the token is for another audience than {RESOURCE}")
        if not (isinstance(expires_at, int | float) and isinstance(not_before, int | float)):
            raise TokenRejected("the token does not say when it begins and ends")
        user_id = None
        if claims.get("idtyp") == "user":
            user_id = claims.get("oid")
            if not isinstance(user_id, str):
                raise TokenRejected("the token names no person")
        return Verified(Caller(client_id, tenant_id, expires_at, user_id), not_before)
