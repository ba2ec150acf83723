"""Signing keys on a PKCS#11 token: made there, never out of it. The extra ``hwdash[pkcs11]`` brings the library.

A token and a key are named by URIs (RFC 7512), with the module that drives the token in ``module-path``:

    pkcs11:token=hwdash?module-path=/usr/lib/softhsm/libsofthsm2.so
    pkcs11:token=hwdash;object=attestation-1f2e3d4c;type=private?module-path=/usr/lib/softhsm/libsofthsm2.so

The PIN is the secret ``key_pin``.
"""

import importlib
import secrets
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from cryptography.hazmat.primitives.asymmetric import rsa

from hwdash.signing.errors import KeysError
from hwdash.signing.key_elsewhere import TOKEN_SCHEME, KeyElsewhere

_LOCK = threading.RLock()
"""One session is used by one thread at a time."""


@dataclass(frozen=True, slots=True)
class TokenUri:
    """A token, or a key on it when ``key`` is not empty."""

    token: str
    module: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> "TokenUri":
        """Raises KeysError."""
        path, _, query = text.removeprefix(TOKEN_SCHEME).partition("?")
        members = dict(part.partition("=")[::2] for part in path.split(";") if part)
        options = dict(parse_qsl(query))
        if "pin-value" in options or "pin-source" in options:
            raise KeysError("a pkcs11: URI of ours holds no PIN: set HWDASH_KEY_PIN or HWDASH_KEY_PIN_FILE")
        if not text.startswith(TOKEN_SCHEME) or not members.get("token") or not options.get("module-path"):
            raise KeysError(f"{text!r} is no URI like pkcs11:token=NAME?module-path=/usr/lib/softhsm/libsofthsm2.so")
        return cls(unquote(members["token"]), options["module-path"], unquote(members.get("object", "")))

    def __str__(self) -> str:
        key = f";object={quote(self.key, safe='')};type=private" if self.key else ""
        return f"{TOKEN_SCHEME}token={quote(self.token, safe='')}{key}?module-path={quote(self.module, safe='/')}"


class TokenKey(KeyElsewhere):
    """A private key on a token."""

    uri: TokenUri

    def __init__(self, uri: TokenUri, private: Any) -> None:
        """Raises KeysError for a key that could leave its token."""
        attribute = _library().Attribute
        with _LOCK, _told(uri):
            if private[attribute.EXTRACTABLE] or not private[attribute.SENSITIVE]:
                raise KeysError(f"the key {uri} could be read out of its token: have a new one made there")
            modulus, exponent = (
                int.from_bytes(private[each], "big") for each in (attribute.MODULUS, attribute.PUBLIC_EXPONENT)
            )
        super().__init__(uri, rsa.RSAPublicNumbers(exponent, modulus).public_key())
        self._private = private

    def signature(self, content: bytes) -> bytes:
        """The signature over content. Raises KeysError when the token does not sign."""
        mechanism = _library().Mechanism.SHA256_RSA_PKCS
        with _LOCK, _told(self.uri):
            return bytes(self._private.sign(content, mechanism=mechanism))


def place(text: str) -> TokenUri:
    """The token of a URI. Raises KeysError."""
    found = TokenUri.parse(text)
    return TokenUri(found.token, found.module)


def new_key(token: str, pin: str, name: str, bits: int) -> TokenKey:
    """Make a key on a token. ``token`` is its URI. Raises KeysError."""
    where = place(token)
    uri = TokenUri(where.token, where.module, f"{name}-{secrets.token_hex(4)}")
    library = _library()
    attribute, identifier = library.Attribute, secrets.token_bytes(8)
    with _LOCK, _told(uri):
        _, private = _session(where, pin).generate_keypair(
            library.KeyType.RSA,
            bits,
            id=identifier,
            label=uri.key,
            store=True,
            capabilities=library.MechanismFlag.SIGN | library.MechanismFlag.VERIFY,
            private_template={attribute.SENSITIVE: True, attribute.EXTRACTABLE: False, attribute.PRIVATE: True},
        )
    return TokenKey(uri, private)


def open_key(text: str, pin: str) -> TokenKey:
    """The key of a URI. Raises KeysError."""
    uri, library = TokenUri.parse(text), _library()
    with _LOCK, _told(uri):
        session = _session(place(text), pin)
        private = session.get_key(object_class=library.ObjectClass.PRIVATE_KEY, label=uri.key)
    return TokenKey(uri, private)


class _told:
    """What the library refuses, as a KeysError. No PIN stands in it."""

    def __init__(self, uri: TokenUri) -> None:
        self._uri = uri

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        library = _library()
        if isinstance(error, library.PKCS11Error | RuntimeError):
            why = {
                "PinIncorrect": "the PIN is wrong",
                "NoSuchKey": "there is no such key",
                "NoSuchToken": "no such token",
            }
            name = type(error).__name__
            raise KeysError(f"{self._uri}: {why.get(name, f'the token refused: {name} {error}'.strip())}") from None


@cache
def _session(token: TokenUri, pin: str) -> Any:
    if not pin:
        raise KeysError(f"{token} needs a PIN: set HWDASH_KEY_PIN or HWDASH_KEY_PIN_FILE")
    return _library().lib(token.module).get_token(token_label=token.token).open(rw=True, user_pin=pin)


@cache
def _library() -> Any:
    try:
        return importlib.import_module("pkcs11")
    except ImportError as error:
        raise KeysError("keys on a token need the extra: install hwdash[pkcs11]") from error
