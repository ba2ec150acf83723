"""Authenticode: what is signed, and signatures of cabinets and PE images, made and checked.

Sources: Microsoft's "Windows Authenticode Portable Executable Signature Format"; facts/package-formats.md for cabinets
and catalogs. The private key is never here: ``signed_attributes`` gives the bytes to sign, ``signed_data`` takes the
signature. Neither is a decision about trust: ``Signature.signer`` is whom to ask about. Only SHA-2 is accepted.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.signed_data import (
    CONTENT_TYPE,
    ECDSA_WITH_SHA256,
    MAX_SIGNATURE_SIZE,
    MESSAGE_DIGEST,
    RSA_ENCRYPTION,
    SHA256,
    SIGNED_DATA,
    SignedContent,
    read_signed_data,
    sha2,
)
from hwdash.drivers.cab import Cabinet
from hwdash.drivers.cab_format import FLAG_RESERVE, FOLDER, HEADER, SIGNATURE_RESERVE, signature_reserve
from hwdash.drivers.errors import LimitExceeded, ParseError, VerificationError
from hwdash.drivers.pe import PeImage, measure, pkcs7_entries

CATALOG_CONTENT_TYPE: Final = "1.3.6.1.4.1.311.10.1"
SPC_INDIRECT_DATA: Final = "1.3.6.1.4.1.311.2.1.4"
CODE_SIGNING: Final = "1.3.6.1.5.5.7.3.3"
_SPC_PE_IMAGE_DATA: Final = "1.3.6.1.4.1.311.2.1.15"
_SPC_CABINET: Final = "1.3.6.1.4.1.311.2.1.25"
_SPC_STATEMENT_TYPE: Final = "1.3.6.1.4.1.311.2.1.11"
_SPC_INDIVIDUAL: Final = "1.3.6.1.4.1.311.2.1.21"
_SPC_OPUS_INFO: Final = "1.3.6.1.4.1.311.2.1.12"
_RFC3161_TOKEN: Final = "1.3.6.1.4.1.311.3.3.1"  # noqa: S105 - an OID, not a password
# SpcLink [2] file, an SpcString [0] that is empty.
_EMPTY_FILE_LINK: Final = der.explicit(2, der.implicit(0, b""))
_CHUNK: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that verified. ``signer`` is among ``certificates``; who trusts it is another question.

    No certificate was checked against its issuer: know a signer by the whole certificate (its thumbprint), never by its
    names.
    """

    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...]
    digest_algorithm: str
    """hashlib's name."""
    digest: bytes
    """What was signed: the digest of the cabinet, of the PE image, or of a catalog's content."""
    program_name: str | None


# --- What is signed


def algorithm_identifier(algorithm: str) -> bytes:
    """AlgorithmIdentifier with NULL parameters."""
    return der.sequence(der.oid(algorithm), der.null())


def spc_indirect_data(kind: str, value: bytes, algorithm: str, digest: bytes) -> bytes:
    """SpcIndirectDataContent ::= SEQUENCE { data SEQUENCE { type, value }, messageDigest DigestInfo }."""
    return der.sequence(
        der.sequence(der.oid(kind), value), der.sequence(algorithm_identifier(algorithm), der.octet_string(digest))
    )


def spc_pe(algorithm: str, digest: bytes, flags: bytes) -> bytes:
    """SpcIndirectDataContent of a PE image; ``flags`` is the encoded BIT STRING SpcPeImageFlags."""
    value = der.sequence(flags, der.explicit(0, _EMPTY_FILE_LINK))
    return spc_indirect_data(_SPC_PE_IMAGE_DATA, value, algorithm, digest)


def spc_flat(algorithm: str, digest: bytes) -> bytes:
    """SpcIndirectDataContent of a cabinet, and of any file without a structure of its own in a catalog."""
    return spc_indirect_data(_SPC_CABINET, _EMPTY_FILE_LINK, algorithm, digest)


def spc_pe_image_data(digest_sha256: bytes) -> bytes:
    """The content of an embedded PE signature over the image's Authenticode digest."""
    return spc_pe(SHA256, digest_sha256, b"\x03\x01\x00")


def spc_cabinet(digest_sha256: bytes) -> bytes:
    """The content of a cabinet's signature over ``cabinet_digest``."""
    return spc_flat(SHA256, digest_sha256)


def content_digest(content: bytes) -> bytes:
    """SHA-256 of the content without its outer tag and length: what messageDigest holds (RFC 2315, 9.3)."""
    return hashlib.sha256(der.content_octets(content)).digest()


def attribute(kind: str, *values: bytes) -> bytes:
    """Attribute ::= SEQUENCE { type OBJECT IDENTIFIER, values SET OF ANY }."""
    return der.sequence(der.oid(kind), der.set_of(*values))


def signed_attributes(content_type: str, content_digest: bytes, *, program_name: str | None, url: str | None) -> bytes:
    """The signed attributes as a DER SET OF: sign the SHA-256 of exactly these bytes.

    ``program_name`` and ``url`` make SpcSpOpusInfo, which Windows shows to the user; the URL must be ASCII
    (ValueError).
    """
    # SpcSpOpusInfo ::= SEQUENCE { programName [0] EXPLICIT SpcString OPTIONAL, moreInfo [1] EXPLICIT SpcLink OPTIONAL }
    opus = b""
    if program_name is not None:
        opus += der.explicit(0, der.implicit(0, program_name.encode("utf-16-be")))
    if url is not None:
        opus += der.explicit(1, der.implicit(0, url.encode("ascii")))
    return der.set_of(
        attribute(CONTENT_TYPE, der.oid(content_type)),
        attribute(MESSAGE_DIGEST, der.octet_string(content_digest)),
        attribute(_SPC_STATEMENT_TYPE, der.sequence(der.oid(_SPC_INDIVIDUAL))),
        attribute(_SPC_OPUS_INFO, der.sequence(opus)),
    )


def signed_data(
    content_type: str,
    content: bytes,
    *,
    certificates: Sequence[bytes],
    attributes: bytes,
    signature: bytes,
    timestamp: bytes | None = None,
) -> bytes:
    """PKCS#7 ContentInfo with SignedData version 1.

    ``certificates`` are DER, the signer's first; its key (RSA or EC) decides the signature algorithm. ``attributes``
    come from ``signed_attributes``; ``signature`` is over their SHA-256. ``timestamp`` is an RFC 3161 token over the
    signature.
    """
    leaf = x509.load_der_x509_certificate(certificates[0])
    elliptic = isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    tbs = der.Reader(leaf.tbs_certificate_bytes, source="certificate").read(der.SEQUENCE, "tbsCertificate").open()
    tbs.optional(0xA0, "version")
    serial = tbs.read(der.INTEGER, "serialNumber").encoded
    tbs.read(der.SEQUENCE, "signature")
    issuer = tbs.read(der.SEQUENCE, "issuer").encoded
    unsigned = b""
    if timestamp is not None:
        unsigned = der.explicit(1, attribute(_RFC3161_TOKEN, timestamp))
    signer = der.sequence(
        der.integer(1),
        der.sequence(issuer, serial),
        algorithm_identifier(SHA256),
        der.explicit(0, der.content_octets(attributes)),
        # RFC 5754 3.2: ECDSA algorithms carry no parameters; RSA's are NULL.
        der.sequence(der.oid(ECDSA_WITH_SHA256)) if elliptic else algorithm_identifier(RSA_ENCRYPTION),
        der.octet_string(signature),
        unsigned,
    )
    body = der.sequence(
        der.integer(1),
        der.set_of(algorithm_identifier(SHA256)),
        der.sequence(der.oid(content_type), der.explicit(0, content)),
        der.explicit(0, *sorted(certificates)),
        der.set_of(signer),
    )
    return der.sequence(der.oid(SIGNED_DATA), der.explicit(0, body))


# --- Cabinets


def cabinet_digest(stream: BinaryIO, cabinet: Cabinet, algorithm: str = "sha256") -> bytes:
    """The digest that a cabinet's signature holds; the cabinet must have the header reserve (ValueError)."""
    if cabinet.reserves is None or cabinet.reserves[0] != SIGNATURE_RESERVE:
        raise ValueError("the cabinet has no room for a signature, so no digest of it is defined")
    digest = hashlib.new(algorithm)
    stream.seek(0)
    head = stream.read(60)
    digest.update(_digested_header(head))
    for chunk in _range(stream, 60, cabinet.declared_size, cabinet.source):
        digest.update(chunk)
    return digest.digest()


def _digested_header(head: bytes) -> bytes:
    """The digested part of the first 60 bytes: reserved1, iCabinet and most of the reserve are left out."""
    return head[:4] + head[8:34] + head[56:60]


def sign_cabinet(
    stream: BinaryIO,
    out: BinaryIO,
    sign: Callable[[bytes], bytes],
    certificates: Sequence[bytes],
    *,
    source: str,
    program_name: str | None = None,
    url: str | None = None,
) -> None:
    """Write the cabinet of ``stream`` to ``out`` (seekable, empty) with a signature; an old signature is left out.

    ``sign`` gets the DER of the signed attributes and returns the signature over their SHA-256; ``certificates`` are
    DER, the signer's first. ParseError when the cabinet's reserve areas serve another purpose.
    """
    cabinet = Cabinet.open(stream, source=source)
    if cabinet.reserves not in (None, (SIGNATURE_RESERVE, 0, 0)):
        message = "its reserve areas are in use: rebuild the cabinet without them"
        raise ParseError(message, source=source, offset=36, field="cbCFHeader")
    room = 0 if cabinet.reserves else 4 + SIGNATURE_RESERVE
    size = cabinet.declared_size + room
    if size > 0xFFFFFFFF - MAX_SIGNATURE_SIZE:
        raise LimitExceeded("the signature would lie beyond 4 GiB: split the cabinet", source=source)
    stream.seek(0)
    header = list(HEADER.unpack(stream.read(HEADER.size)))
    header[2] = size  # cbCabinet
    header[4] += room  # coffFiles
    header[10] |= FLAG_RESERVE
    head = HEADER.pack(*header) + signature_reserve(size, 0)
    folders = b"".join(
        FOLDER.pack(folder.start + room if folder.blocks else folder.start, folder.blocks, folder.method)
        for folder in cabinet.folders
    )
    digest = hashlib.sha256(_digested_header(head) + folders)
    out.write(head + folders)
    for chunk in _range(stream, len(head) - room + len(folders), cabinet.declared_size, source):
        digest.update(chunk)
        out.write(chunk)
    content = spc_cabinet(digest.digest())
    attributes = signed_attributes(SPC_INDIRECT_DATA, content_digest(content), program_name=program_name, url=url)
    signature = signed_data(
        SPC_INDIRECT_DATA, content, certificates=certificates, attributes=attributes, signature=sign(attributes)
    )
    signature += bytes(-len(signature) % 8)
    out.write(signature)
    out.seek(HEADER.size)
    out.write(signature_reserve(size, len(signature)))
    out.seek(size + len(signature))


def verify_cabinet(stream: BinaryIO, cabinet: Cabinet, *, source: str) -> Signature:
    """Check a cabinet's signature. VerificationError says why it does not hold: not signed, changed, weak digest."""
    place = cabinet.signature
    if place is None:
        raise VerificationError("the cabinet is not signed", source=source)
    if place.offset != cabinet.declared_size:
        raise VerificationError("the signature does not follow the cabinet's content", source=source)
    if not place.size or place.offset + place.size > cabinet.file_size:
        raise VerificationError("the signature lies outside the file", source=source)
    if trailing := cabinet.file_size - place.offset - place.size:
        raise VerificationError(f"{trailing} bytes follow the signature", source=source)
    if cabinet.reserves != (SIGNATURE_RESERVE, 0, 0):
        # The digest leaves these sizes out, so that changing them would change what the folders hold.
        raise VerificationError("a signed cabinet must not reserve space in folders or blocks", source=source)
    if place.size > MAX_SIGNATURE_SIZE:
        raise LimitExceeded(f"a signature of {place.size} bytes, at most 16 MiB are allowed", source=source)
    stream.seek(place.offset)
    signed = read_signed_data(stream.read(place.size), source=f"{source} (signature)")
    algorithm, digest = _indirect_data(signed, _SPC_CABINET, source)
    if cabinet_digest(stream, cabinet, algorithm) != digest:
        raise VerificationError("the cabinet was changed after it was signed", source=source)
    return _signature(signed, digest)


# --- PE images and catalogs


def verify_pe(stream: BinaryIO, image: PeImage, *, source: str) -> Signature | None:
    """Check the first signature in a PE image; None when it has none. VerificationError when it does not hold."""
    offset, size = image.certificate_table
    if not size:
        return None
    if size > MAX_SIGNATURE_SIZE:
        raise LimitExceeded(f"a certificate table of {size} bytes, at most 16 MiB are allowed", source=source)
    stream.seek(offset)
    entries = pkcs7_entries(stream.read(size), source=f"{source} (certificate table)")
    if not entries:
        raise VerificationError("the certificate table holds no PKCS#7 signature", source=source)
    signed = read_signed_data(entries[0], source=f"{source} (signature)")
    algorithm, digest = _indirect_data(signed, _SPC_PE_IMAGE_DATA, source)
    if measure(stream, image, (algorithm,)).digests[algorithm] != digest:
        raise VerificationError("the image was changed after it was signed", source=source)
    return _signature(signed, digest)


def verify_catalog(catalog: bytes, *, source: str) -> tuple[Signature, bytes]:
    """Check a catalog's signature; also its content, the DER of a certificate trust list (see ``catalog.Catalog``)."""
    signed = read_signed_data(catalog, source=source)
    if signed.content_type != CATALOG_CONTENT_TYPE:
        raise ParseError("the signed content is not a catalog", source=source, field="contentType")
    return _signature(signed, signed.attributes[MESSAGE_DIGEST].content), signed.content.encoded


def key_usages(certificate: x509.Certificate) -> frozenset[str]:
    """The extended key usages of a certificate, dotted; empty when it names none."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return frozenset()
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        message = f"its extensions cannot be read ({error})"
        raise ParseError(message, source="certificate", field="extensions") from None
    return frozenset(usage.dotted_string for usage in usages)


def may_sign_code(certificate: x509.Certificate) -> bool:
    """Whether the certificate's extended key usages include code signing."""
    return CODE_SIGNING in key_usages(certificate)


def _indirect_data(signed: SignedContent, kind: str, source: str) -> tuple[str, bytes]:
    """The digest algorithm (hashlib's name) and the digest that a signature's SpcIndirectDataContent holds."""
    content = signed.content
    if signed.content_type != SPC_INDIRECT_DATA or content.tag != der.SEQUENCE:
        raise content.error("is not SPC_INDIRECT_DATA", "contentType")
    reader = content.open()
    described = reader.read(der.SEQUENCE, "SpcIndirectDataContent.data").open().read(der.OBJECT_IDENTIFIER, "data.type")
    if described.oid("data.type") != kind:
        raise described.error("the signature is for another kind of file", "data.type")
    info = reader.read(der.SEQUENCE, "messageDigest").open()
    reader.finish("SpcIndirectDataContent")
    algorithm = info.read(der.SEQUENCE, "digestAlgorithm").open().read(der.OBJECT_IDENTIFIER, "digestAlgorithm")
    digest = info.read(der.OCTET_STRING, "digest").content
    info.finish("messageDigest")
    return sha2(algorithm.oid("digestAlgorithm"), source=source, what="the signed digest").name, digest


def _signature(signed: SignedContent, digest: bytes) -> Signature:
    return Signature(signed.signer, signed.certificates, signed.digest_algorithm, digest, _program_name(signed))


def _program_name(signed: SignedContent) -> str | None:
    opus = signed.attributes.get(_SPC_OPUS_INFO)
    if opus is None:
        return None
    if opus.tag != der.SEQUENCE:
        raise opus.error("is not a SEQUENCE", "SpcSpOpusInfo")
    named = opus.open().optional(0xA0, "programName")
    if named is None:
        return None
    # SpcString ::= CHOICE { unicode [0] IMPLICIT BMPSTRING, ascii [1] IMPLICIT IA5STRING }
    name = named.open().any("programName")
    return name.text("utf-16-be" if name.tag == 0x80 else "latin-1", "programName")


def _range(stream: BinaryIO, start: int, end: int, source: str) -> Iterator[bytes]:
    stream.seek(start)
    left = end - start
    while left > 0:
        chunk = stream.read(min(_CHUNK, left))
        if not chunk:
            raise ParseError("the cabinet is truncated", source=source, offset=end - left)
        left -= len(chunk)
        yield chunk
