"""PKCS#7 SignedData (RFC 2315; RFC 5652 where they agree) as Authenticode and RFC 3161 use it.

What holds for every ``SignedContent`` that ``read_signed_data`` returns:

- exactly one signer, whose certificate is among those sent;
- the signed attributes name the content's type and its SHA-2 digest, once each;
- the signature over the attributes, as a DER SET OF, verifies with the signer's key (RSA PKCS#1 v1.5, RSA-PSS or
ECDSA).

Whether that certificate is to be trusted is not decided here, and what stands in the unsigned attributes was vouched
for by nobody.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.algorithms import (
    Algorithm,
    algorithm_identifier,
    digest_oid,
    hash_of,
    read_algorithm,
    read_digest_algorithm,
    signature_algorithm,
    verify,
)
from hwdash.drivers.errors import LimitExceeded, ParseError, VerificationError
from hwdash.drivers.extensions import read_certificate

SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
MAX_SIGNATURE_SIZE: Final = 16 << 20
"""Bytes; a catalog of ten thousand files takes some 6 MB."""
_MAX_CERTIFICATES: Final = 100
# CertificateChoices [0] to [3] (RFC 5652, 10.2.2): attribute certificates, which Microsoft's timestamps have, and more.
_OTHER_CERTIFICATES: Final = (0xA0, 0xA1, 0xA2, 0xA3)

Certificates = Mapping[bytes, der.Element]
"""Certificates by issuer and serial number as SignerInfo spells them."""


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """SignerInfo ::= SEQUENCE { version, signer, digestAlgorithm, [0] attributes, algorithm, signature, [1] }.

    Parsed, not verified.
    """

    issuer_and_serial: bytes
    digest_algorithm: str
    """An OID."""
    attributes: tuple[der.Element, ...]
    signature_algorithm: Algorithm
    signature: bytes
    unsigned: Mapping[str, tuple[der.Element, ...]]
    """The unsigned attributes: type -> values."""

    @classmethod
    def read(cls, element: der.Element) -> "SignerInfo":
        """Parse one SignerInfo with signed attributes and a signer named by issuer and serial number."""
        reader = element.open()
        version = reader.read(der.INTEGER, "SignerInfo.version")
        if reader.next_tag == 0x80:
            message = "names its signer by key identifier: Authenticode wants issuer and serial number"
            raise element.error(message, "SignerInfo")
        if version.integer("SignerInfo.version") != 1:
            raise version.error("is not 1", "SignerInfo.version")
        signer = reader.read(der.SEQUENCE, "issuerAndSerialNumber")
        digest = read_digest_algorithm(reader.read(der.SEQUENCE, "digestAlgorithm"), "digestAlgorithm")
        attributes = reader.optional(0xA0, "authenticatedAttributes")
        if attributes is None:
            raise element.error("has no signed attributes", "authenticatedAttributes")
        algorithm = read_algorithm(reader.read(der.SEQUENCE, "digestEncryptionAlgorithm"), "digestEncryptionAlgorithm")
        signature = reader.read(der.OCTET_STRING, "encryptedDigest").content
        unsigned = reader.optional(0xA1, "unauthenticatedAttributes")
        reader.finish("SignerInfo")
        return cls(
            signer.content,
            digest,
            tuple(attributes.open().all(der.SEQUENCE, "authenticatedAttributes")),
            algorithm,
            signature,
            _unsigned_attributes(unsigned),
        )

    def signed_attributes(self) -> dict[str, der.Element]:
        """The signed attributes: type -> its one value."""
        values: dict[str, der.Element] = {}
        for attribute in self.attributes:
            kind, held = _attribute(attribute)
            if kind in values:
                raise attribute.error(f"the attribute {kind} occurs twice", "authenticatedAttributes")
            reader = held.open()
            values[kind] = reader.any("Attribute.values")
            reader.finish("Attribute.values")
        return values

    def verify(
        self, content_type: str | None, content: bytes, certificates: Certificates, *, source: str, allow_sha1: bool
    ) -> tuple[x509.Certificate, dict[str, der.Element]]:
        """Check the signature over ``content`` (octets without tag and length); the signer and the signed attributes.

        ``content_type`` None leaves the type unchecked. VerificationError when it does not hold.
        """
        algorithm = hash_of(self.digest_algorithm, source=source, what="the signature", allow_sha1=allow_sha1)
        values = self.signed_attributes()
        for required, name in ((CONTENT_TYPE, "contentType"), (MESSAGE_DIGEST, "messageDigest")):
            if required not in values:
                raise VerificationError(f"the signature lacks the signed attribute {name}", source=source)
        kind = values[CONTENT_TYPE]
        if kind.tag != der.OBJECT_IDENTIFIER or content_type not in (None, kind.oid("contentType")):
            raise VerificationError("the signed content type is not that of the content", source=source)
        digest = hashlib.new(algorithm.name, content, usedforsecurity=False).digest()
        if values[MESSAGE_DIGEST].tag != der.OCTET_STRING or values[MESSAGE_DIGEST].content != digest:
            raise VerificationError("the signed content was changed: its digest is not the signed one", source=source)
        if self.issuer_and_serial not in certificates:
            raise VerificationError("the signer's certificate is not in the signature", source=source)
        signer = load_certificate(certificates[self.issuer_and_serial])
        try:
            key = signer.public_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            message = f"the signer's key cannot be used ({error})"
            raise certificates[self.issuer_and_serial].error(message, "certificates") from None
        # DER sorts a SET OF (X.690, 11.6). Some signers do not, and sign what they sent: Windows takes both.
        sent = der.tlv(der.SET, *(attribute.encoded for attribute in self.attributes))
        in_order = der.set_of(*(attribute.encoded for attribute in self.attributes))
        check = partial(
            verify, key, self.signature_algorithm, self.digest_algorithm, self.signature, allow_sha1=allow_sha1
        )
        if sent != in_order:
            with suppress(VerificationError):
                check(sent, source=source)
                return signer, values
        check(in_order, source=source)
        return signer, values


@dataclass(frozen=True, slots=True)
class SignedData:
    """A SignedData with one signer: parsed, not verified."""

    content_type: str
    content: der.Element
    """The content as it stands: for Authenticode a SEQUENCE, without an OCTET STRING around it."""
    certificates: Certificates
    crls: tuple[bytes, ...]
    signer: SignerInfo

    def loaded_certificates(self) -> tuple[x509.Certificate, ...]:
        """All certificates sent, in their order. ParseError when one cannot be read."""
        return tuple(load_certificate(each) for each in self.certificates.values())


@dataclass(frozen=True, slots=True)
class SignedContent:
    """A verified SignedData."""

    content_type: str
    content: der.Element
    """The content as it stands: for Authenticode a SEQUENCE, without an OCTET STRING around it."""
    digest_algorithm: str
    """hashlib's name."""
    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...]
    attributes: dict[str, der.Element]
    """The signed attributes: type -> its one value."""


def read_signed_data(
    signature: bytes, *, source: str, allow_sha1: bool = False, more: Certificates | None = None
) -> SignedContent:
    """Parse and verify a ContentInfo with SignedData; zero bytes may follow it as padding.

    The signer's certificate may also stand among ``more``. ParseError when it is malformed, VerificationError when it
    does not hold, LimitExceeded above 16 MiB.
    """
    return verify_signed_data(
        parse_signed_data(signature, source=source), source=source, allow_sha1=allow_sha1, more=more
    )


def verify_signed_data(
    signed: SignedData, *, source: str, allow_sha1: bool = False, more: Certificates | None = None
) -> SignedContent:
    """Verify what ``parse_signed_data`` gave; see ``read_signed_data``."""
    signer, attributes = signed.signer.verify(
        signed.content_type,
        signed.content.content,
        {**(more or {}), **signed.certificates},
        source=source,
        allow_sha1=allow_sha1,
    )
    algorithm = hash_of(signed.signer.digest_algorithm, source=source, what="the signature", allow_sha1=allow_sha1)
    return SignedContent(
        signed.content_type, signed.content, algorithm.name, signer, signed.loaded_certificates(), attributes
    )


def parse_signed_data(signature: bytes, *, source: str) -> SignedData:
    """Parse a ContentInfo with SignedData and one signer; zero bytes may follow it. Nothing is verified.

    ParseError when it is malformed, VerificationError when it has no signer, LimitExceeded above 16 MiB.
    """
    content_type, content, digests, certificates, crls, signers = _parse(signature, source)
    if not signers.content:
        raise VerificationError("is not signed: it has no signer", source=source)
    signer = SignerInfo.read(signers.only(der.SEQUENCE, "SignerInfo"))
    if signer.digest_algorithm not in digests:
        raise signers.error("uses a digest that digestAlgorithms does not list", "SignerInfo")
    return SignedData(content_type, content, certificates, crls, signer)


def unverified_content(signature: bytes, *, source: str) -> tuple[str, der.Element]:
    """The content type and the content of a SignedData, whoever signed it, if anybody: to show, never to trust."""
    return _parse(signature, source)[:2]


def signed_data_of(
    content_type: str,
    content: bytes,
    *,
    certificates: Sequence[bytes],
    attributes: bytes,
    signature: bytes,
    algorithm: str = "sha256",
    unsigned: Sequence[bytes] = (),
    version: int = 1,
) -> bytes:
    """A ContentInfo with SignedData: ``content`` is encoded whole, the other parts are as in ``spc.signed_data``."""
    digest = digest_oid(algorithm)
    leaf = x509.load_der_x509_certificate(certificates[0])
    issuer_and_serial = _issuer_and_serial(der.Reader(certificates[0], source="certificate").read(der.SEQUENCE, "it"))
    signer = der.sequence(
        der.integer(1),
        der.sequence(issuer_and_serial),
        algorithm_identifier(digest),
        der.explicit(0, der.content_octets(attributes)),
        signature_algorithm(leaf.public_key(), digest),
        der.octet_string(signature),
        der.explicit(1, *sorted(unsigned)) if unsigned else b"",
    )
    body = der.sequence(
        der.integer(version),
        der.set_of(algorithm_identifier(digest)),
        der.sequence(der.oid(content_type), der.explicit(0, content)),
        der.explicit(0, *sorted(set(certificates))),
        der.set_of(signer),
    )
    return der.sequence(der.oid(SIGNED_DATA), der.explicit(0, body))


def with_unsigned_value(signature: bytes, kind: str, value: bytes, *, source: str) -> bytes:
    """The same signature with one more value of an unsigned attribute; everything else stays as it stands."""
    parse_signed_data(signature, source=source)
    # Down the one way from ContentInfo to SignerInfo; on the way back only the lengths change.
    info = der.Reader(signature, source=source).read(der.SEQUENCE, "ContentInfo")
    parts = info.open()
    kind_of_info = parts.read(der.OBJECT_IDENTIFIER, "contentType").encoded
    body = parts.read(0xA0, "content").only(der.SEQUENCE, "SignedData")
    signers = list(body.open().all_tags("SignedData"))[-1]
    signer = signers.only(der.SEQUENCE, "SignerInfo")
    unsigned: dict[bytes, list[bytes]] = {}
    end = signer.end
    for element in signer.open().all_tags("SignerInfo"):
        if element.tag == 0xA1:
            end = element.start
            for attribute in element.open().all(der.SEQUENCE, "unauthenticatedAttributes"):
                held = attribute.open()
                name = held.read(der.OBJECT_IDENTIFIER, "Attribute.type").encoded
                values = held.read(der.SET, "Attribute.values").open().all_tags("Attribute.values")
                unsigned.setdefault(name, []).extend(each.encoded for each in values)
    unsigned.setdefault(der.oid(kind), []).append(value)
    attributes = (der.sequence(name, der.set_of(*values)) for name, values in unsigned.items())
    changed = der.sequence(signature[signer.body : end], der.explicit(1, *sorted(attributes)))
    whole = der.sequence(signature[body.body : signers.start], der.tlv(der.SET, changed))
    return der.sequence(kind_of_info, der.explicit(0, whole))


def load_certificate(element: der.Element) -> x509.Certificate:
    """The certificate that stands there. ParseError when it cannot be read."""
    try:
        return read_certificate(element.encoded, source="certificate")
    except ParseError as error:
        raise element.error(error.message, "certificates") from None


def _parse(
    signature: bytes, source: str
) -> tuple[str, der.Element, set[str], Certificates, tuple[bytes, ...], der.Element]:
    """Content type, content, digest algorithms, certificates, CRLs and signerInfos."""
    if len(signature) > MAX_SIGNATURE_SIZE:
        raise LimitExceeded(f"a signature of {len(signature)} bytes, at most 16 MiB are allowed", source=source)
    outer = der.Reader(signature, source=source)
    info = outer.read(der.SEQUENCE, "ContentInfo").open()
    outer.finish_padded("ContentInfo")
    kind = info.read(der.OBJECT_IDENTIFIER, "contentType")
    if kind.oid("contentType") != SIGNED_DATA:
        raise kind.error("is not signedData", "contentType")
    body = info.read(0xA0, "content").only(der.SEQUENCE, "SignedData").open()
    info.finish("ContentInfo")
    version = body.read(der.INTEGER, "version")
    listed = body.read(der.SET, "digestAlgorithms").open().all(der.SEQUENCE, "digestAlgorithms")
    digests = {read_digest_algorithm(each, "digestAlgorithms") for each in listed}
    content_type, content = _content(body.read(der.SEQUENCE, "contentInfo"))
    # PKCS#7 knows 1 only; RFC 5652 5.1, whose content is an OCTET STRING, up to 5.
    if not 1 <= version.integer("version") <= (5 if content.tag == der.OCTET_STRING else 1):
        raise version.error("is no version of such a SignedData", "version")
    certificates = _certificates(body.optional(0xA0, "certificates"))
    crls = body.optional(0xA1, "crls")
    signers = body.read(der.SET, "signerInfos")
    body.finish("SignedData")
    lists = tuple(each.encoded for each in crls.open().all(der.SEQUENCE, "crls")) if crls else ()
    return content_type, content, digests, certificates, lists, signers


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


def _attribute(element: der.Element) -> tuple[str, der.Element]:
    """Attribute ::= SEQUENCE { type OBJECT IDENTIFIER, values SET OF ANY }: the type and the SET."""
    reader = element.open()
    kind = reader.read(der.OBJECT_IDENTIFIER, "Attribute.type").oid("Attribute.type")
    held = reader.read(der.SET, "Attribute.values")
    reader.finish("Attribute")
    return kind, held


def _unsigned_attributes(element: der.Element | None) -> dict[str, tuple[der.Element, ...]]:
    values: dict[str, list[der.Element]] = {}
    for attribute in element.open().all(der.SEQUENCE, "unauthenticatedAttributes") if element else ():
        kind, held = _attribute(attribute)
        values.setdefault(kind, []).extend(held.open().all_tags("Attribute.values"))
    return {kind: tuple(each) for kind, each in values.items()}


def _issuer_and_serial(certificate: der.Element) -> bytes:
    # TBSCertificate ::= SEQUENCE { [0] version, serialNumber, signature, issuer, ... }
    tbs = certificate.open().read(der.SEQUENCE, "tbsCertificate").open()
    tbs.optional(0xA0, "tbsCertificate.version")
    serial = tbs.read(der.INTEGER, "serialNumber").encoded
    tbs.read(der.SEQUENCE, "tbsCertificate.signature")
    return tbs.read(der.SEQUENCE, "issuer").encoded + serial


def _certificates(element: der.Element | None) -> dict[bytes, der.Element]:
    found: dict[bytes, der.Element] = {}
    if element is None:
        return found
    for number, certificate in enumerate(element.open().all_tags("certificates")):
        if number == _MAX_CERTIFICATES:
            raise LimitExceeded(f"more than {_MAX_CERTIFICATES} certificates", source=certificate.source)
        if certificate.tag in _OTHER_CERTIFICATES:
            continue
        if certificate.tag != der.SEQUENCE:
            raise certificate.error(f"expected tag 0x30, found tag {certificate.tag:#04x}", "certificates")
        found.setdefault(_issuer_and_serial(certificate), certificate)
    return found
