"""Client assertions: a JSON Web Token, signed with a registered certificate, in place of a secret (RFC 7523).

What libraries send (facts/stack.md, Tokens): RS256 with ``x5t`` or PS256 with ``x5t#S256``, often ``x5c`` too; ``exp``
may be a float. msal signs one assertion and sends it again and again for nine minutes, so an assertion may be used more
than once unless the service was told otherwise (``UsedAssertions``).
"""

import base64
import binascii
import hmac
import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry

ALGORITHMS = ("RS256", "PS256")

_MAX_ASSERTION = 64 * 1024
_MAX_LIFE = timedelta(hours=24).total_seconds()
_CLOCK_SKEW = 300.0
_END_OF_TIME = 2**53
_MAX_REMEMBERED = 100_000


class AssertionRejected(Exception):
    """An assertion does not prove who sends it. ``number`` is Entra's, the message says why."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


class _Registry(JWSRegistry):
    max_header_length = _MAX_ASSERTION  # the certificate chain stands in it


class UsedAssertions:
    """Remembers assertions until they end, for a service that accepts each one once. One process' memory."""

    def __init__(self) -> None:
        self._ends: dict[bytes, float] = {}

    def use(self, assertion: str, ends: float, now: datetime) -> None:
        """Note the use. Raises AssertionRejected when it was used before, or when too many are to be remembered."""
        if len(self._ends) >= _MAX_REMEMBERED:
            accepted_until = now.timestamp() - _CLOCK_SKEW
            self._ends = {each: end for each, end in self._ends.items() if end > accepted_until}
        digest = sha256(assertion.encode()).digest()
        if digest in self._ends:
            raise AssertionRejected(
                700027, "The client assertion has been used before; this service takes each one once."
            )
        if len(self._ends) >= _MAX_REMEMBERED:
            raise AssertionRejected(700027, "Too many client assertions are in use; try again later.")
        self._ends[digest] = ends


def claimed_client(assertion: str) -> str | None:
    """The client id that an assertion claims in ``sub``, not proven yet; None when there is none to read."""
    parts = assertion.split(".")
    claims = json_part(parts[1]) if len(parts) == 3 else None
    subject = claims.get("sub") if claims else None
    return subject if isinstance(subject, str) else None


def verify_assertion(
    assertion: str,
    *,
    client_id: str,
    audiences: Collection[str],
    certificates: Sequence[x509.Certificate],
    now: datetime,
) -> float:
    """Check that the holder of one of the certificates signed this for us; returns its end in seconds since 1970.

    ``audiences`` are lower-case and without a slash at the end. Raises AssertionRejected.
    """
    header = _header(assertion)
    certificate = _certificate(header, certificates)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise AssertionRejected(700027, "The registered certificate has no RSA key.")
    if now > certificate.not_valid_after_utc:
        raise AssertionRejected(
            700027, "The certificate that signed the client assertion has ended; register a new one."
        )
    algorithm = header["alg"]
    registry = _Registry(algorithms=[algorithm], strict_check_header=False)
    try:
        claims = jwt.decode(assertion, RSAKey.import_key(key), [algorithm], registry).claims
    except (JoseError, ValueError, RecursionError):
        raise AssertionRejected(700027, "The signature of the client assertion does not hold.") from None
    return _check_claims(claims, client_id, audiences, now.timestamp())


def json_part(segment: str) -> dict[str, Any] | None:
    """The JSON object in one part of a JSON Web Token; None when it is none."""
    try:
        value = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _header(assertion: str) -> dict[str, Any]:
    parts = assertion.split(".")
    header = (
        json_part(parts[0]) if len(parts) == 3 and len(assertion) <= _MAX_ASSERTION and assertion.isascii() else None
    )
    if header is None:
        raise AssertionRejected(50027, "The client assertion is not a JSON Web Token.")
    if "crit" in header or "b64" in header:
        raise AssertionRejected(50027, "The client assertion asks for extensions (crit, b64) that are not served.")
    if header.get("alg") not in ALGORITHMS:
        raise AssertionRejected(700027, f"The client assertion must be signed with {' or '.join(ALGORITHMS)}.")
    return header


def _certificate(header: dict[str, Any], certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    """The registered certificate that the header names. Every name it gives has to fit."""
    named = {name: header[name] for name in ("x5t", "x5t#S256", "x5c") if header.get(name) is not None}
    if not named:
        raise AssertionRejected(700027, "The client assertion names no certificate: x5t, x5t#S256 or x5c is needed.")
    for certificate in certificates:
        if all(_names(certificate, name, value) for name, value in named.items()):
            return certificate
    raise AssertionRejected(
        700027, "The certificate that the client assertion names is not registered for the application."
    )


def _names(certificate: x509.Certificate, name: str, value: object) -> bool:
    if name == "x5c":
        value = value[0] if isinstance(value, list) and value else None
    if not isinstance(value, str) or not value.isascii():
        return False
    try:
        if name == "x5c":
            # msal leaves PEM's line breaks in it.
            given = sha256(base64.b64decode("".join(value.split()), validate=True)).digest()
        else:
            given = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except binascii.Error:
        return False
    # x5t is a name of a certificate here, not a proof.
    algorithm = hashes.SHA1() if name == "x5t" else hashes.SHA256()  # nosec B303 # noqa: S303
    return hmac.compare_digest(given, certificate.fingerprint(algorithm))


def _check_claims(claims: dict[str, Any], client_id: str, audiences: Collection[str], now: float) -> float:
    for name in ("iss", "sub"):
        value = claims.get(name)
        if not isinstance(value, str) or value.lower() != client_id.lower():
            raise AssertionRejected(700021, f"The claim {name} of the client assertion must be the client id.")
    audience = claims.get("aud")
    given = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(each, str) and each.lower().rstrip("/") in audiences for each in given):
        raise AssertionRejected(700023, "The claim aud of the client assertion must be this token endpoint.")
    ends, begins = _time(claims, "exp"), _time(claims, "nbf")
    if ends is None:
        raise AssertionRejected(700024, "The client assertion does not say when it ends (exp).")
    if ends <= now - _CLOCK_SKEW:
        raise AssertionRejected(700024, "The client assertion has expired.")
    if ends > now + _MAX_LIFE + _CLOCK_SKEW:
        raise AssertionRejected(700024, "The client assertion lasts longer than 24 hours.")
    if begins is not None and begins > now + _CLOCK_SKEW:
        raise AssertionRejected(700024, "The client assertion is not valid yet.")
    return ends


def _time(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519), which some libraries write as a float."""
    value = claims.get(name)
    if value is None:
        return None
    # Compared before it is converted: Python's JSON has integers of any size, and NaN.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _END_OF_TIME:
        raise AssertionRejected(700024, f"The claim {name} of the client assertion is not a time.")
    return float(value)
