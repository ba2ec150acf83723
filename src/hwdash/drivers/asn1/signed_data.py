"""Reading and checking PKCS#7 SignedData (RFC 2315; RFC 5652 where they agree) as Authenticode uses it.

What holds for every ``SignedContent`` that ``read_signed_data`` returns:

- exactly one signer, whose certificate is among those sent;
- the signed attributes name the content's type and its SHA-2 digest, once each;
- the signature over the attributes, as a DER SET OF, verifies with the signer's key (RSA PKCS#1 v1.5, RSA-PSS or
ECDSA).

Whether that certificate is to be trusted is not decided here.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from hwdash.drivers.asn1 import der
from hwdash.drivers.errors import LimitExceeded, ParseError, VerificationError

SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
SHA1: Final = "1.3.14.3.2.26"
SHA256: Final = "2.16.840.1.101.3.4.2.1"
RSA_ENCRYPTION: Final = "1.2.840.113549.1.1.1"
ECDSA_WITH_SHA256: Final = "1.2.840.10045.4.3.2"
MAX_SIGNATURE_SIZE: Final = 16 << 20
"""Bytes; a catalog of ten thousand files takes some 6 MB."""
_MAX_CERTIFICATES: Final = 100

_SHA2: Final[dict[str, hashes.HashAlgorithm]] = {
    SHA256: hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_BROKEN: Final = {SHA1: "SHA-1", "1.2.840.113549.2.5": "MD5", "1.2.840.113549.2.2": "MD2"}
# Signature algorithm -> (key family, the digest it fixes; None leaves it to the signer's digestAlgorithm).
_RSA_PSS: Final = "1.2.840.113549.1.1.10"
_SIGNATURE_DIGESTS: Final[dict[str, tuple[str, str | None]]] = {
    RSA_ENCRYPTION: ("RSA", None),
    "1.2.840.113549.1.1.5": ("RSA", SHA1),
    "1.2.840.113549.1.1.11": ("RSA", "2.16.840.1.101.3.4.2.1"),
    "1.2.840.113549.1.1.12": ("RSA", "2.16.840.1.101.3.4.2.2"),
    "1.2.840.113549.1.1.13": ("RSA", "2.16.840.1.101.3.4.2.3"),
    _RSA_PSS: ("RSA", None),
    "1.2.840.10045.2.1": ("ECDSA", None),
    ECDSA_WITH_SHA256: ("ECDSA", "2.16.840.1.101.3.4.2.1"),
    "1.2.840.10045.4.3.3": ("ECDSA", "2.16.840.1.101.3.4.2.2"),
    "1.2.840.10045.4.3.4": ("ECDSA", "2.16.840.1.101.3.4.2.3"),
}


@dataclass(frozen=True, slots=True)
class SignedContent:
    """A verified SignedData."""

    content_type: str
    content: der.Element
    """The content as it stands: for Authenticode a SEQUENCE, without an OCTET STRING around it."""
    digest_algorithm: str
    """sha256, sha384 or sha512."""
    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...]
    attributes: dict[str, der.Element]
    """The signed attributes: type -> its one value."""


@dataclass(frozen=True, slots=True)
class _SignerInfo:
    """SignerInfo ::= SEQUENCE { version, signer, digestAlgorithm, [0] attributes, algorithm, signature, [1] }."""

    issuer_and_serial: bytes
    digest_algorithm: str
    attributes: list[der.Element]
    signature_algorithm: str
    signature: bytes


def sha2(algorithm: str, *, source: str, what: str) -> hashes.HashAlgorithm:
    """The SHA-2 hash named by an OID. VerificationError for SHA-1, MD5 and anything else; ``what`` says of what."""
    if algorithm not in _SHA2:
        name = _BROKEN.get(algorithm, f"algorithm {algorithm}")
        raise VerificationError(f"{what} uses {name}: SHA-2 is required", source=source)
    return _SHA2[algorithm]


def read_signed_data(signature: bytes, *, source: str) -> SignedContent:
    """Parse and verify a ContentInfo with SignedData; zero bytes may follow it as padding.

    ParseError when it is malformed, VerificationError when it does not hold, LimitExceeded above 16 MiB.
    """
    content_type, content, certificates, signers = _parse(signature, source)
    return _verify(content_type, content, _signer_info(signers), _certificates(certificates), source)


def unverified_content(signature: bytes, *, source: str) -> tuple[str, der.Element]:
    """The content type and the content of a SignedData, whoever signed it: to show, never to trust."""
    return _parse(signature, source)[:2]


def _parse(signature: bytes, source: str) -> tuple[str, der.Element, der.Element | None, der.Element]:
    """Content type, content, certificates and signerInfos."""
    if len(signature) > MAX_SIGNATURE_SIZE:
        raise LimitExceeded(f"a signature of {len(signature)} bytes, at most 16 MiB are allowed", source=source)
    outer = der.Reader(signature, source=source)
    info = outer.read(der.SEQUENCE, "ContentInfo").open()
    outer.finish_padded("ContentInfo")
    kind = info.read(der.OBJECT_IDENTIFIER, "contentType")
    if kind.oid("contentType") != SIGNED_DATA:
        raise kind.error("is not signedData", "contentType")
    body = _only(info.read(0xA0, "content"), der.SEQUENCE, "SignedData").open()
    info.finish("ContentInfo")
    body.read(der.INTEGER, "version")
    body.read(der.SET, "digestAlgorithms")
    content_type, content = _content(body.read(der.SEQUENCE, "contentInfo"))
    certificates = body.optional(0xA0, "certificates")
    body.optional(0xA1, "crls")
    signers = body.read(der.SET, "signerInfos")
    body.finish("SignedData")
    return content_type, content, certificates, signers


def _only(element: der.Element, tag: int, field: str) -> der.Element:
    """The one element inside ``element``."""
    reader = element.open()
    inner = reader.read(tag, field)
    reader.finish(field)
    return inner


def _content(element: der.Element) -> tuple[str, der.Element]:
    reader = element.open()
    content_type = reader.read(der.OBJECT_IDENTIFIER, "contentInfo.contentType").oid("contentInfo.contentType")
    if reader.next_tag is None:
        raise element.error("the signature is detached: the content must be inside", "contentInfo.content")
    wrapped = reader.read(0xA0, "contentInfo.content").open()
    content = wrapped.any("contentInfo.content")
    wrapped.finish("contentInfo.content")
    reader.finish("contentInfo")
    return content_type, content


def _algorithm(element: der.Element, field: str) -> str:
    """AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY OPTIONAL }."""
    return element.open().read(der.OBJECT_IDENTIFIER, field).oid(field)


def _signer_info(signers: der.Element) -> _SignerInfo:
    element = _only(signers, der.SEQUENCE, "SignerInfo")
    reader = element.open()
    reader.read(der.INTEGER, "SignerInfo.version")
    if reader.next_tag == 0x80:
        raise element.error(
            "names its signer by key identifier: Authenticode wants issuer and serial number", "SignerInfo"
        )
    signer = reader.read(der.SEQUENCE, "issuerAndSerialNumber")
    digest = _algorithm(reader.read(der.SEQUENCE, "digestAlgorithm"), "digestAlgorithm")
    attributes = reader.optional(0xA0, "authenticatedAttributes")
    if attributes is None:
        raise element.error("has no signed attributes", "authenticatedAttributes")
    algorithm = _algorithm(reader.read(der.SEQUENCE, "digestEncryptionAlgorithm"), "digestEncryptionAlgorithm")
    signature = reader.read(der.OCTET_STRING, "encryptedDigest").content
    reader.optional(0xA1, "unauthenticatedAttributes")
    reader.finish("SignerInfo")
    listed = list(attributes.open().all(der.SEQUENCE, "authenticatedAttributes"))
    return _SignerInfo(signer.content, digest, listed, algorithm, signature)


def _certificates(element: der.Element | None) -> list[tuple[bytes, der.Element]]:
    """Each certificate with its issuer and serial number as SignerInfo spells them."""
    found: list[tuple[bytes, der.Element]] = []
    if element is None:
        return found
    for certificate in element.open().all(der.SEQUENCE, "certificates"):
        if len(found) == _MAX_CERTIFICATES:
            raise LimitExceeded(f"more than {_MAX_CERTIFICATES} certificates", source=certificate.source)
        # TBSCertificate ::= SEQUENCE { [0] version, serialNumber, signature, issuer, ... }
        tbs = certificate.open().read(der.SEQUENCE, "tbsCertificate").open()
        tbs.optional(0xA0, "tbsCertificate.version")
        serial = tbs.read(der.INTEGER, "serialNumber").encoded
        tbs.read(der.SEQUENCE, "tbsCertificate.signature")
        issuer = tbs.read(der.SEQUENCE, "issuer").encoded
        found.append((issuer + serial, certificate))
    return found


def _attributes(signer: _SignerInfo) -> dict[str, der.Element]:
    values: dict[str, der.Element] = {}
    for attribute in signer.attributes:
        reader = attribute.open()
        kind = reader.read(der.OBJECT_IDENTIFIER, "Attribute.type").oid("Attribute.type")
        held = reader.read(der.SET, "Attribute.values").open()
        reader.finish("Attribute")
        if kind in values:
            raise attribute.error(f"the attribute {kind} occurs twice", "authenticatedAttributes")
        values[kind] = held.any("Attribute.values")
        held.finish("Attribute.values")
    return values


def _verify(
    content_type: str,
    content: der.Element,
    signer: _SignerInfo,
    certificates: list[tuple[bytes, der.Element]],
    source: str,
) -> SignedContent:
    algorithm = sha2(signer.digest_algorithm, source=source, what="the signature")
    values = _attributes(signer)
    for required, name in ((CONTENT_TYPE, "contentType"), (MESSAGE_DIGEST, "messageDigest")):
        if required not in values:
            raise VerificationError(f"the signature lacks the signed attribute {name}", source=source)
    if values[CONTENT_TYPE].tag != der.OBJECT_IDENTIFIER or values[CONTENT_TYPE].oid("contentType") != content_type:
        raise VerificationError("the signed content type is not that of the content", source=source)
    digest = hashlib.new(algorithm.name, content.content).digest()
    if values[MESSAGE_DIGEST].tag != der.OCTET_STRING or values[MESSAGE_DIGEST].content != digest:
        raise VerificationError("the signed content was changed: its digest is not the signed one", source=source)
    leaf = next((element for key, element in certificates if key == signer.issuer_and_serial), None)
    if leaf is None:
        raise VerificationError("the signer's certificate is not in the signature", source=source)
    signed = der.set_of(*(attribute.encoded for attribute in signer.attributes))
    certificate = _load(leaf)
    _check_signature(certificate, signer, algorithm, signed, source)
    loaded = tuple(_load(element) for _, element in certificates)
    return SignedContent(content_type, content, algorithm.name, certificate, loaded, values)


def _load(element: der.Element) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(element.encoded)
        # Names and times are parsed when they are asked for: ask here, where an error is still a ParseError.
        _ = certificate.subject.rfc4514_string(), certificate.issuer, certificate.not_valid_after_utc
        _ = certificate.not_valid_before_utc
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise element.error(f"is not a certificate ({error})", "certificates") from None
    return certificate


def _check_signature(
    certificate: x509.Certificate, signer: _SignerInfo, algorithm: hashes.HashAlgorithm, signed: bytes, source: str
) -> None:
    if signer.signature_algorithm not in _SIGNATURE_DIGESTS:
        raise VerificationError(f"signature algorithm {signer.signature_algorithm} is not supported", source=source)
    family, digest = _SIGNATURE_DIGESTS[signer.signature_algorithm]
    if digest not in (None, signer.digest_algorithm):
        sha2(digest or "", source=source, what="the signature")
        raise VerificationError("the signature's digest algorithm is not the signer's", source=source)
    try:
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey) and family == "RSA":
            if signer.signature_algorithm == _RSA_PSS:
                # The parameters must name the signer's digest for both hashes; any other choice fails to verify here.
                pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
                key.verify(signer.signature, signed, pss, algorithm)
            else:
                key.verify(signer.signature, signed, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and family == "ECDSA":
            key.verify(signer.signature, signed, ec.ECDSA(algorithm))
        else:
            raise VerificationError("the signer's key does not fit the signature algorithm", source=source)
    except InvalidSignature:
        raise VerificationError("the signature does not verify with the signer's key", source=source) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ParseError(f"the signer's key cannot be used ({error})", source=source, field="certificates") from None
