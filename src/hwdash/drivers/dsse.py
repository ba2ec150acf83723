"""DSSE envelopes: signed statements in JSON, made, read and checked.

Format: DSSE 1.0 (protocol.md, envelope.md of secure-systems-lab/dsse). What is signed is PAE(type, payload):

    "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload        LEN: ASCII decimal, of the bytes

The certificates and the timestamp stand beside the signature under the names that in-toto's witness gives them:
``certificate`` and ``intermediates`` (PEM in base64), ``timestamps`` (an RFC 3161 token over the signature, in base64).
``keyid`` is the SHA-256 of the signer's public key (SubjectPublicKeyInfo), in hex. DSSE lets a reader pass over members
that it does not know. This reader takes one form only, the one that ``Envelope.encode`` writes: then no byte of a file
can be changed without being noticed, although the signature does not cover all of them.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hwdash.drivers.chain import Trust, check_chain
from hwdash.drivers.errors import ParseError, VerificationError
from hwdash.drivers.extensions import UNREADABLE, read_certificates
from hwdash.drivers.findings import errors
from hwdash.drivers.timestamp import TIME_STAMPING, Timestamp, read_timestamp, rewritten_token

MEDIA_TYPE: Final = "application/vnd.dsse.envelope.v1+json"
_MAX_INTERMEDIATES: Final = 8
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: the bytes to sign."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def key_id(certificate: x509.Certificate) -> str:
    """SHA-256 of the public key, lower-case hex."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()


@dataclass(frozen=True, slots=True)
class Envelope:
    """One payload with one signature."""

    payload_type: str
    payload: bytes
    signature: bytes
    certificates: tuple[x509.Certificate, ...]
    """The signer's first, then its issuers, without the root."""
    timestamp: bytes
    """An RFC 3161 token over the signature; empty: none."""

    def encode(self) -> bytes:
        """The envelope as a file: JSON on one line."""
        signer, *issuers = self.certificates
        signature: dict[str, Any] = {
            "keyid": key_id(signer),
            "sig": _base64(self.signature),
            "certificate": _base64(signer.public_bytes(Encoding.PEM)),
            "intermediates": [_base64(each.public_bytes(Encoding.PEM)) for each in issuers],
        }
        if self.timestamp:
            signature["timestamps"] = [{"type": "tsp", "data": _base64(self.timestamp)}]
        document = {"payloadType": self.payload_type, "payload": _base64(self.payload), "signatures": [signature]}
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def parse(cls, content: bytes, *, source: str) -> "Envelope":
        """Read a file that ``encode`` wrote; nothing is verified. ParseError for anything else."""
        try:
            document = json.loads(content)
            (signature,) = document["signatures"]
            stamps = signature.get("timestamps", [])
            envelope = cls(
                payload_type=str(document["payloadType"]),
                payload=_bytes(document["payload"]),
                signature=_bytes(signature["sig"]),
                certificates=tuple(
                    _certificate(each, source)
                    for each in (signature["certificate"], *signature["intermediates"][:_MAX_INTERMEDIATES])
                ),
                timestamp=_bytes(stamps[0]["data"]) if stamps else b"",
            )
            rewritten = envelope.encode()
        except (LookupError, AttributeError, RecursionError, *UNREADABLE) as error:
            raise ParseError(f"is not a DSSE envelope with one signature ({_why(error)})", source=source) from None
        if rewritten != content:
            message = "is not written as hwdash writes envelopes: it was changed, or it is another program's"
            raise ParseError(message, source=source)
        return envelope


@dataclass(frozen=True, slots=True)
class Verified:
    """An envelope whose signature holds and whose signer is trusted."""

    payload: bytes
    trust: Trust
    timestamp: Timestamp | None


def verify_envelope(
    envelope: Envelope, *, payload_type: str, usage: str, roots: Sequence[x509.Certificate], now: datetime, source: str
) -> Verified:
    """Check the signature, its timestamp where there is one, and the chain from the signer to one of ``roots``.

    The signer must be made for ``usage`` (an OID) and be valid at the time of the timestamp, else ``now``. A timestamp
    that does not hold is refused, not passed over. Raises VerificationError and ParseError.
    """
    signer, *issuers = envelope.certificates
    if envelope.payload_type != payload_type:
        message = f"the payload is of the type {envelope.payload_type!r}, not {payload_type!r}"
        raise VerificationError(message, source=source)
    try:
        _verify(signer, envelope.signature, pae(envelope.payload_type, envelope.payload))
    except InvalidSignature:
        message = "the signature does not hold: the payload, the signature or the certificate was changed"
        raise VerificationError(message, source=source) from None
    stamp, when = None, now
    if envelope.timestamp:
        name = f"{source} (timestamp)"
        stamp = read_timestamp(envelope.timestamp, envelope.signature, source=name, strict=True)
        if rewritten_token(envelope.timestamp, source=name) != envelope.timestamp:
            raise VerificationError("the timestamp was changed where no signature covers it", source=source)
        _trusted(
            check_chain(
                stamp.signer,
                roots=roots,
                when=stamp.when,
                now=now,
                usage=TIME_STAMPING,
                others=stamp.certificates,
                source=name,
            ),
            "the timestamp's signer",
            name,
        )
        if stamp.when > now + _CLOCK_TOLERANCE:
            raise VerificationError(f"the timestamp is of the future, {stamp.when.isoformat()}", source=source)
        when = stamp.when
    trust = check_chain(signer, roots=roots, when=when, now=now, usage=usage, others=issuers, source=source)
    _trusted(trust, "its signer", source)
    if not all(map(_is_whole, (*envelope.certificates, *(stamp.certificates if stamp else ())))):
        raise VerificationError("a certificate was changed where no signature covers it", source=source)
    if set(issuers) - set(trust.chain):
        raise VerificationError("it carries certificates that are not part of its chain", source=source)
    return Verified(envelope.payload, trust, stamp)


def _verify(signer: x509.Certificate, signature: bytes, signed: bytes) -> None:
    key = signer.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        raise InvalidSignature


def _is_whole(certificate: x509.Certificate) -> bool:
    """Before the signature in a BIT STRING stands how many bits do not count; libraries are lenient about it."""
    return certificate.public_bytes(Encoding.DER).endswith(b"\0" + certificate.signature)


def _trusted(trust: Trust, who: str, source: str) -> None:
    if reasons := [each.message for each in errors(trust.findings)]:
        raise VerificationError(f"{who} is not trusted: {' '.join(reasons)}", source=source)


def _certificate(text: object, source: str) -> x509.Certificate:
    (found,) = read_certificates(_bytes(text), source=source)
    return found


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError("a text in base64 is missing")
    return base64.b64decode(text, validate=True)


def _why(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
