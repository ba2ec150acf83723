"""Timestamps of signatures: RFC 3161 tokens, read, checked, asked for and made; PKCS#9 countersignatures, read.

What holds for every ``Timestamp`` that is returned: it is over the bytes given (for Authenticode the signature value of
a SignerInfo), and its signature verifies with a certificate whose only extended key usage is timeStamping, and which a
signed attribute names (ESS, RFC 2634 and RFC 5035). RFC 3161 2.3 wants that usage marked as critical: ``strict`` does
too, and is for tokens that we ask for; Microsoft's own authority does not mark it, and Windows does not ask. Whether
the certificate is to be trusted is decided by drivers/chain.py. No key and no clock is here: ``token_attributes`` gives
the bytes to sign.

    TSTInfo ::= SEQUENCE { version INTEGER, policy OBJECT IDENTIFIER, messageImprint MessageImprint,
        serialNumber INTEGER, genTime GeneralizedTime, accuracy Accuracy OPTIONAL, ordering BOOLEAN DEFAULT FALSE,
        nonce INTEGER OPTIONAL, tsa [0] GeneralName OPTIONAL, extensions [1] IMPLICIT Extensions OPTIONAL }
    MessageImprint ::= SEQUENCE { hashAlgorithm AlgorithmIdentifier, hashedMessage OCTET STRING }
    Accuracy ::= SEQUENCE { seconds INTEGER OPTIONAL, millis [0] INTEGER OPTIONAL, micros [1] INTEGER OPTIONAL }
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from cryptography import x509

from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.algorithms import SHA256, algorithm_identifier, digest_oid, hash_of, read_digest_algorithm
from hwdash.drivers.asn1.signed_data import (
    CONTENT_TYPE,
    MESSAGE_DIGEST,
    Certificates,
    SignedData,
    SignerInfo,
    parse_signed_data,
    signed_data_of,
    verify_signed_data,
)
from hwdash.drivers.errors import ParseError, VerificationError
from hwdash.drivers.extensions import extended_key_usages
from hwdash.drivers.spc import RFC3161_TOKEN, attribute

TIME_STAMPING: Final = "1.3.6.1.5.5.7.3.8"
COUNTERSIGNATURE: Final = "1.2.840.113549.1.9.6"
_TST_INFO: Final = "1.2.840.113549.1.9.16.1.4"
_SIGNING_TIME: Final = "1.2.840.113549.1.9.5"
_SIGNING_CERTIFICATE: Final = "1.2.840.113549.1.9.16.2.12"
_SIGNING_CERTIFICATE_V2: Final = "1.2.840.113549.1.9.16.2.47"
_GRANTED: Final = (0, 1)  # granted, grantedWithMods
_STATUS: Final = ("granted", "granted with changes", "rejected", "waiting", "about to revoke", "revoked")


@dataclass(frozen=True, slots=True)
class Timestamp:
    """When a signature existed, as ``signer`` says."""

    form: Literal["rfc3161", "pkcs9"]
    when: datetime
    """In UTC; genTime, or the signing time of a countersignature."""
    accuracy: timedelta | None
    digest_algorithm: str
    """hashlib's name: of the imprint, or of the countersignature."""
    serial: int | None
    policy: str | None
    nonce: int | None
    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...]
    """Those in the token; the signer's issuers may also stand in the signature that it is for."""


# --- Read


def read_timestamp(
    token: bytes,
    over: bytes,
    *,
    source: str,
    allow_sha1: bool = False,
    strict: bool = False,
    more: Certificates | None = None,
) -> Timestamp:
    """Check an RFC 3161 token over the bytes ``over``; the signer's certificate may also stand among ``more``.

    ParseError when it is malformed, VerificationError when it does not hold.
    """
    parsed = parse_signed_data(token, source=source)
    info = parsed.content
    if parsed.content_type != _TST_INFO or info.tag != der.OCTET_STRING:
        raise info.error("is not a timestamp", "contentType")
    signed = verify_signed_data(parsed, source=source, allow_sha1=allow_sha1, more=more)
    _check_authority(signed.signer, source, strict=strict)
    _check_signing_certificate(signed.attributes, signed.signer, source)
    reader = info.only(der.SEQUENCE, "TSTInfo").open()
    version = reader.read(der.INTEGER, "TSTInfo.version")
    if version.integer("TSTInfo.version") != 1:
        raise version.error("is not 1", "TSTInfo.version")
    policy = reader.read(der.OBJECT_IDENTIFIER, "TSTInfo.policy").oid("TSTInfo.policy")
    imprint = reader.read(der.SEQUENCE, "messageImprint").open()
    algorithm = read_digest_algorithm(imprint.read(der.SEQUENCE, "hashAlgorithm"), "hashAlgorithm")
    hashed = imprint.read(der.OCTET_STRING, "hashedMessage").content
    imprint.finish("messageImprint")
    serial = reader.read(der.INTEGER, "serialNumber").integer("serialNumber")
    when = reader.read(der.GENERALIZED_TIME, "genTime").time("genTime")
    accuracy = _accuracy(reader.optional(der.SEQUENCE, "accuracy"))
    reader.optional(der.BOOLEAN, "ordering")
    nonce = reader.optional(der.INTEGER, "nonce")
    reader.optional(0xA0, "tsa")
    extensions = reader.optional(0xA1, "extensions")
    reader.finish("TSTInfo")
    if extensions is not None and any(_is_critical(each) for each in extensions.open().all(der.SEQUENCE, "Extension")):
        raise VerificationError("the timestamp has a critical extension that is not known", source=source)
    digest = hash_of(algorithm, source=source, what="the timestamp's imprint", allow_sha1=allow_sha1).name
    if hashlib.new(digest, over, usedforsecurity=False).digest() != hashed:
        raise VerificationError("the timestamp is over another signature", source=source)
    number = nonce.integer("nonce") if nonce is not None else None
    return Timestamp("rfc3161", when, accuracy, digest, serial, policy, number, signed.signer, signed.certificates)


def read_countersignature(
    element: der.Element, over: bytes, certificates: Certificates, *, source: str, allow_sha1: bool = False
) -> Timestamp:
    """Check a PKCS#9 countersignature (a SignerInfo, RFC 2985 5.3.6) over ``over``, of a signer among ``certificates``.

    ParseError when it is malformed, VerificationError when it does not hold.
    """
    if element.tag != der.SEQUENCE:
        raise element.error("is not a SignerInfo", "countersignature")
    info = SignerInfo.read(element)
    signer, attributes = info.verify(None, over, certificates, source=source, allow_sha1=allow_sha1)
    _check_authority(signer, source)
    if _SIGNING_TIME not in attributes:
        raise VerificationError("the countersignature does not say when it was made", source=source)
    when = attributes[_SIGNING_TIME].time("signingTime")
    algorithm = hash_of(info.digest_algorithm, source=source, what="the countersignature", allow_sha1=allow_sha1)
    return Timestamp("pkcs9", when, None, algorithm.name, None, None, None, signer, (signer,))


def timestamp_of(signed: SignedData, *, source: str, allow_sha1: bool = False) -> tuple[Timestamp | None, str | None]:
    """The timestamp in a signature's unsigned attributes, or why the one that is there does not count.

    Of several the first that holds; RFC 3161 tokens before countersignatures. Nobody signed the unsigned attributes, so
    that a timestamp that does not hold counts like none at all.
    """
    problem = None
    over = signed.signer.signature
    unsigned: Mapping[str, tuple[der.Element, ...]] = signed.signer.unsigned
    for kind in (RFC3161_TOKEN, COUNTERSIGNATURE):
        for element in unsigned.get(kind, ())[:4]:
            try:
                if kind == RFC3161_TOKEN:
                    found = read_timestamp(
                        element.encoded,
                        over,
                        source=f"{source} (timestamp)",
                        allow_sha1=allow_sha1,
                        more=signed.certificates,
                    )
                else:
                    found = read_countersignature(
                        element, over, signed.certificates, source=f"{source} (timestamp)", allow_sha1=allow_sha1
                    )
            except (ParseError, VerificationError) as error:
                problem = problem or str(error)
            else:
                return found, None
    return None, problem


def _check_authority(signer: x509.Certificate, source: str, *, strict: bool = False) -> None:
    usages, is_critical = extended_key_usages(signer)
    if usages != {TIME_STAMPING}:
        message = "the signer may not make timestamps: its certificate must be for timeStamping, and that alone"
        raise VerificationError(message, source=source)
    if strict and not is_critical:
        message = "the signer's certificate must mark its usage, timeStamping, as critical (RFC 3161, 2.3)"
        raise VerificationError(message, source=source)


def _check_signing_certificate(attributes: Mapping[str, der.Element], signer: x509.Certificate, source: str) -> None:
    """SigningCertificate[V2] ::= SEQUENCE { certs SEQUENCE OF ESSCertID[v2], policies OPTIONAL }: the first is it.

    ESSCertID ::= SEQUENCE { certHash, issuerSerial OPTIONAL }; ESSCertIDv2 has a hashAlgorithm before it, by default
    SHA-256.
    """
    found = [each for kind in (_SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2) if (each := attributes.get(kind))]
    if not found:
        raise VerificationError("the timestamp does not name its signer's certificate (ESS)", source=source)
    for value in found:
        if value.tag != der.SEQUENCE:
            raise value.error("is not a SEQUENCE", "SigningCertificate")
        first = value.open().read(der.SEQUENCE, "certs").open().read(der.SEQUENCE, "ESSCertID").open()
        second_version = value is attributes.get(_SIGNING_CERTIFICATE_V2)
        # The certificate itself is signed: SHA-1, which the first version has, only tells which one is meant.
        algorithm = SHA256 if second_version else "1.3.14.3.2.26"
        if second_version and (named := first.optional(der.SEQUENCE, "hashAlgorithm")):
            algorithm = read_digest_algorithm(named, "hashAlgorithm")
        digest = hash_of(algorithm, source=source, what="the name of the certificate", allow_sha1=True)
        if signer.fingerprint(digest) != first.read(der.OCTET_STRING, "certHash").content:
            raise VerificationError("the timestamp names another certificate than its signer's (ESS)", source=source)


def _accuracy(element: der.Element | None) -> timedelta | None:
    if element is None:
        return None
    reader = element.open()
    seconds, millis, micros = (reader.optional(tag, "accuracy") for tag in (der.INTEGER, 0x80, 0x81))
    reader.finish("accuracy")
    parts = [each.integer("accuracy") if each is not None else 0 for each in (seconds, millis, micros)]
    if any(not 0 <= part <= limit for part, limit in zip(parts, (10**9, 999, 999), strict=True)):
        raise element.error("is out of range", "accuracy")
    return timedelta(seconds=parts[0], milliseconds=parts[1], microseconds=parts[2])


def _is_critical(extension: der.Element) -> bool:
    reader = extension.open()
    reader.read(der.OBJECT_IDENTIFIER, "extnID")
    critical = reader.optional(der.BOOLEAN, "critical")
    return critical is not None and critical.boolean("critical")


# --- Asked for


def timestamp_request(over: bytes, *, nonce: int, algorithm: str = "sha256") -> bytes:
    """TimeStampReq (RFC 3161, 2.4.1) for a token over these bytes, with the signer's certificate in it."""
    return der.sequence(der.integer(1), _imprint(over, algorithm), der.integer(nonce), der.boolean(True))


def _imprint(over: bytes, algorithm: str) -> bytes:
    digest = hashlib.new(algorithm, over).digest()
    return der.sequence(algorithm_identifier(digest_oid(algorithm)), der.octet_string(digest))


def read_response(response: bytes, *, source: str) -> bytes:
    """The token in a TimeStampResp (RFC 3161, 2.4.2), not yet checked. VerificationError when none was granted."""
    outer = der.Reader(response, source=source)
    reader = outer.read(der.SEQUENCE, "TimeStampResp").open()
    outer.finish("TimeStampResp")
    info = reader.read(der.SEQUENCE, "PKIStatusInfo").open()
    status = info.read(der.INTEGER, "status").integer("status")
    if status not in _GRANTED:
        texts = info.optional(der.SEQUENCE, "statusString")
        said = [each.text("utf-8", "statusString") for each in texts.open().all_tags("statusString")] if texts else []
        name = _STATUS[status] if 0 <= status < len(_STATUS) else f"status {status}"
        raise VerificationError(": ".join([f"no timestamp was given ({name})", *said]), source=source)
    token = reader.read(der.SEQUENCE, "timeStampToken").encoded
    reader.finish("TimeStampResp")
    return token


# --- Made


def timestamp_info(over: bytes, *, policy: str, serial: int, when: datetime) -> bytes:
    """TSTInfo over these bytes; of ``when``, which carries a time zone, the whole seconds."""
    return der.sequence(
        der.integer(1), der.oid(policy), _imprint(over, "sha256"), der.integer(serial), der.generalized_time(when)
    )


def token_attributes(info: bytes, certificate: bytes, when: datetime) -> bytes:
    """The signed attributes of a token around a TSTInfo as a DER SET OF: sign the SHA-256 of exactly these bytes."""
    named = der.sequence(der.octet_string(hashlib.sha256(certificate).digest()))
    return der.set_of(
        attribute(CONTENT_TYPE, der.oid(_TST_INFO)),
        attribute(_SIGNING_TIME, der.utc_time(when)),
        attribute(MESSAGE_DIGEST, der.octet_string(hashlib.sha256(info).digest())),
        attribute(_SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(named))),
    )


def timestamp_token(info: bytes, *, certificates: Sequence[bytes], attributes: bytes, signature: bytes) -> bytes:
    """The token; ``certificates`` are DER, the signer's first, ``attributes`` those of ``token_attributes``."""
    return signed_data_of(
        _TST_INFO,
        der.octet_string(info),
        certificates=certificates,
        attributes=attributes,
        signature=signature,
        version=3,
    )


def rewritten_token(token: bytes, *, source: str) -> bytes:
    """The token as ``timestamp_token`` writes it, of the same parts: one of ours stays as it is, to the last byte.

    For a token that was checked: then nothing of it can have been changed where no signature covers it. ParseError.
    """
    parsed = parse_signed_data(token, source=source)
    others = dict(parsed.certificates)
    signer = others.pop(parsed.signer.issuer_and_serial, None)
    if signer is None:
        raise ParseError("the signer's certificate is not in it", source=source, field="certificates")
    return timestamp_token(
        parsed.content.content,
        certificates=[each.encoded for each in (signer, *others.values())],
        attributes=der.set_of(*(each.encoded for each in parsed.signer.attributes)),
        signature=parsed.signer.signature,
    )
