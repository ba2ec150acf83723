"""Signing keys in Azure Key Vault: made there, never out of it. Tried against a stand-in of it, not against Azure.

A vault and a key are named by URIs of ours, with the application that may use it (``client``) and its ``tenant``:

    azure-key-vault:https://contoso.vault.azure.net?tenant=ID&client=ID
    azure-key-vault:https://contoso.vault.azure.net/keys/attestation-1f2e3d4c/VERSION?tenant=ID&client=ID

The application signs in with a client secret, which is the secret ``key_pin``. ``authority`` in the URI is where, when
that is not Entra's public address. The calls are those of Key Vault's REST API, version 7.4: create, get, sign.
"""

import base64
import hashlib
import secrets
import threading
import time
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from hwdash.signing.errors import KeysError
from hwdash.signing.key_elsewhere import VAULT_SCHEME, KeyElsewhere

API_VERSION = "7.4"
PUBLIC_AUTHORITY = "https://login.microsoftonline.com"
_PUBLIC_VAULTS = "vault.azure.net"
_TIMEOUT_SECONDS = 10.0
# A token is not used in its last minute: it must still be good when it arrives.
_MARGIN_SECONDS = 60.0
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class VaultUri:
    """A vault, or a key in it when ``key`` is not empty."""

    vault: str
    """Its address, without a slash at the end."""
    tenant: str
    client: str
    authority: str = PUBLIC_AUTHORITY
    key: str = ""
    """The path of a key and its version: ``/keys/NAME/VERSION``."""

    @classmethod
    def parse(cls, text: str) -> "VaultUri":
        """Raises KeysError."""
        try:
            address = urlsplit(text.removeprefix(VAULT_SCHEME))
            given = {name: values[-1] for name, values in parse_qs(address.query).items()}
            authority = given.pop("authority", PUBLIC_AUTHORITY)
            is_sound = _is_safe(text.removeprefix(VAULT_SCHEME)) and _is_safe(authority)
        except ValueError:
            is_sound = False
        path = address.path.rstrip("/") if is_sound else ""
        if (
            not is_sound
            or not text.startswith(VAULT_SCHEME)
            or set(given) != {"tenant", "client"}
            or (path and (path.count("/") != 3 or not path.startswith("/keys/")))
        ):
            raise KeysError(f"{text!r} is no URI like {VAULT_SCHEME}https://NAME.{_PUBLIC_VAULTS}?tenant=ID&client=ID")
        return cls(
            f"{address.scheme}://{address.netloc}", given["tenant"], given["client"], authority.rstrip("/"), path
        )

    @property
    def scope(self) -> str:
        """What a token is asked for: the vaults of this cloud, which the vault's own name ends with."""
        host = urlsplit(self.vault).hostname or ""
        return f"https://{_PUBLIC_VAULTS if host in _THIS_MACHINE else host.partition('.')[2]}/.default"

    def __str__(self) -> str:
        authority = {} if self.authority == PUBLIC_AUTHORITY else {"authority": self.authority}
        query = urlencode({"tenant": self.tenant, "client": self.client} | authority)
        return f"{VAULT_SCHEME}{self.vault}{self.key}?{query}"


class VaultKey(KeyElsewhere):
    """A private key in a vault."""

    def __init__(self, uri: VaultUri, vault: "_Vault", document: dict[str, Any]) -> None:
        """``document`` is a KeyBundle of the vault's. Raises KeysError for a key that could leave it, or is not RSA."""
        with _told(uri):
            if not document["key"]["kty"].startswith("RSA"):
                raise KeysError(f"the key {uri} is {document['key']['kty']}, and signs differently each time")
            if document.get("attributes", {}).get("exportable"):
                raise KeysError(f"the key {uri} could be read out of its vault: have a new one made there")
            exponent, modulus = (int.from_bytes(_decoded(document["key"][each]), "big") for each in ("e", "n"))
            super().__init__(uri, rsa.RSAPublicNumbers(exponent, modulus).public_key())
        self._vault = vault
        self._path = uri.key

    def signature(self, content: bytes) -> bytes:
        """The signature over content. Raises KeysError."""
        digest = _encoded(hashlib.sha256(content).digest())
        answer = self._vault.ask("POST", f"{self._path}/sign", {"alg": "RS256", "value": digest})
        with _told(self.uri):
            signature = _decoded(answer["value"])
        try:
            self._public.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise KeysError(f"what the vault answered is no signature by the key {self.uri}") from None
        return signature


def place(text: str) -> VaultUri:
    """The vault of a URI. Raises KeysError."""
    return replace(VaultUri.parse(text), key="")


def new_key(text: str, secret: str, name: str, bits: int) -> VaultKey:
    """Make a key in the vault ``text``. Raises KeysError."""
    where = place(text)
    vault, path = _vault(where, secret), f"/keys/{name}-{secrets.token_hex(4)}"
    document = vault.ask("POST", f"{path}/create", {"kty": "RSA", "key_size": bits, "key_ops": ["sign", "verify"]})
    with _told(where):
        identifier = str(document["key"]["kid"])
    if not identifier.startswith(f"{where.vault}{path}/"):
        raise KeysError(f"{where}: the vault made {identifier}, not the key that was asked for")
    return VaultKey(VaultUri.parse(str(replace(where, key=identifier.removeprefix(where.vault)))), vault, document)


def open_key(text: str, secret: str) -> VaultKey:
    """The key of a URI. Raises KeysError."""
    uri = VaultUri.parse(text)
    vault = _vault(replace(uri, key=""), secret)
    return VaultKey(uri, vault, vault.ask("GET", uri.key))


class _Vault:
    """A vault and the application that uses it. Any thread may ask it."""

    def __init__(self, where: VaultUri, secret: str) -> None:
        self._where = where
        self._secret = secret
        self._http = httpx.Client(timeout=_TIMEOUT_SECONDS)
        self._lock = threading.Lock()
        self._token, self._token_ends = "", 0.0

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request and its answer. Raises KeysError."""
        with self._lock:
            answer = self._sent(method, path, body)
            if answer.status_code == httpx.codes.UNAUTHORIZED:  # the token was withdrawn
                self._token_ends = 0.0
                answer = self._sent(method, path, body)
        return self._document(answer, self._where.vault)

    def _sent(self, method: str, path: str, body: dict[str, Any] | None) -> httpx.Response:
        if time.monotonic() >= self._token_ends:
            self._sign_in()
        return self._answer(
            method,
            f"{self._where.vault}{path}",
            params={"api-version": API_VERSION},
            json=body,
            headers={"Authorization": f"Bearer {self._token}"},
        )

    def _sign_in(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._where.client,
            "client_secret": self._secret,
            "scope": self._where.scope,
        }
        address = f"{self._where.authority}/{self._where.tenant}/oauth2/v2.0/token"
        answer = self._document(self._answer("POST", address, data=form), self._where.authority)
        with _told(self._where):
            self._token = str(answer["access_token"])
            self._token_ends = time.monotonic() + max(0.0, float(answer["expires_in"]) - _MARGIN_SECONDS)

    def _answer(self, method: str, address: str, **content: Any) -> httpx.Response:
        try:
            return self._http.request(method, address, **content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise KeysError(f"{self._where}: {urlsplit(address).netloc} does not answer: {error}") from error

    def _document(self, answer: httpx.Response, who: str) -> dict[str, Any]:
        try:
            document = answer.json()
        except ValueError:
            document = None
        if answer.is_success and isinstance(document, dict):
            return document
        problem = document.get("error") if isinstance(document, dict) else None
        said = problem.get("message") if isinstance(problem, dict) else problem
        raise KeysError(f"{self._where}: {who} answered {answer.status_code} {said or answer.reason_phrase}")


@cache
def _vault(where: VaultUri, secret: str) -> _Vault:
    if not secret:
        raise KeysError(f"{where} needs the client's secret: set HWDASH_KEY_PIN or HWDASH_KEY_PIN_FILE")
    return _Vault(where, secret)


class _told:
    """What is not as Key Vault's documentation has it, as a KeysError."""

    def __init__(self, uri: object) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, LookupError | TypeError | ValueError | AttributeError):
            raise KeysError(f"{self._uri}: the answer has not the documented form ({error!r})") from error


def _is_safe(address: str) -> bool:
    """Whether a secret may be sent there: by TLS, or not out of this machine."""
    parts = urlsplit(address)
    return (
        bool(parts.hostname)
        and parts.username is None
        and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _THIS_MACHINE))
    )


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
