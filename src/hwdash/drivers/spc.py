"""The structures of Authenticode around a digest: written for signing, read from signatures.

Source: Microsoft's "Windows Authenticode Portable Executable Signature Format" (the names are its own);
facts/package-formats.md for cabinets, catalogs and page hashes. Nothing here signs or verifies.

    SpcIndirectDataContent ::= SEQUENCE { data SpcAttributeTypeAndOptionalValue, messageDigest DigestInfo }
    SpcPeImageData ::= SEQUENCE { flags SpcPeImageFlags, file [0] EXPLICIT SpcLink }
    SpcLink ::= CHOICE { url [0] IA5STRING, moniker [1] SpcSerializedObject, file [2] EXPLICIT SpcString }
    SpcSerializedObject ::= SEQUENCE { classId OCTET STRING (16), serializedData OCTET STRING }
    SpcString ::= CHOICE { unicode [0] BMPSTRING, ascii [1] IA5STRING }
    SpcSpOpusInfo ::= SEQUENCE { programName [0] EXPLICIT SpcString OPTIONAL, moreInfo [1] EXPLICIT SpcLink OPTIONAL }
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.algorithms import SHA1, algorithm_identifier, digest_oid, hash_of, read_digest_algorithm
from hwdash.drivers.asn1.signed_data import CONTENT_TYPE, MESSAGE_DIGEST, signed_data_of
from hwdash.drivers.errors import VerificationError

CATALOG_CONTENT_TYPE: Final = "1.3.6.1.4.1.311.10.1"
SPC_INDIRECT_DATA: Final = "1.3.6.1.4.1.311.2.1.4"
SPC_PE_IMAGE_DATA: Final = "1.3.6.1.4.1.311.2.1.15"
SPC_CABINET: Final = "1.3.6.1.4.1.311.2.1.25"
RFC3161_TOKEN: Final = "1.3.6.1.4.1.311.3.3.1"  # noqa: S105 - an OID, not a password
NESTED_SIGNATURE: Final = "1.3.6.1.4.1.311.2.4.1"
_STATEMENT_TYPE: Final = "1.3.6.1.4.1.311.2.1.11"
_INDIVIDUAL: Final = "1.3.6.1.4.1.311.2.1.21"
_OPUS_INFO: Final = "1.3.6.1.4.1.311.2.1.12"
# The class of a serialized object that holds page hashes, and the attribute in it by their algorithm.
_PAGE_HASHES_CLASS: Final = bytes.fromhex("a6b586d5b4a12466ae05a217da8e60d6")
_PAGE_HASHES: Final = {"sha1": "1.3.6.1.4.1.311.2.3.1", "sha256": "1.3.6.1.4.1.311.2.3.2"}
# SpcLink [2] file, an SpcString [0] that is empty.
_EMPTY_FILE_LINK: Final = der.explicit(2, der.implicit(0, b""))


# --- Written


def attribute(kind: str, *values: bytes) -> bytes:
    """Attribute ::= SEQUENCE { type OBJECT IDENTIFIER, values SET OF ANY }."""
    return der.sequence(der.oid(kind), der.set_of(*values))


def spc_indirect_data(kind: str, value: bytes, algorithm: str, digest: bytes) -> bytes:
    """SpcIndirectDataContent of a digest; ``kind`` and ``algorithm`` are OIDs."""
    return der.sequence(
        der.sequence(der.oid(kind), value), der.sequence(algorithm_identifier(algorithm), der.octet_string(digest))
    )


def spc_pe(algorithm: str, digest: bytes, flags: bytes, page_hashes: bytes | None = None) -> bytes:
    """SpcIndirectDataContent of a PE image; ``flags`` is the encoded BIT STRING SpcPeImageFlags, ``algorithm`` an OID.

    ``page_hashes`` is what ``pe.page_hashes`` gives: by SHA-1 beside a digest by SHA-1, else by SHA-256.
    """
    link = _EMPTY_FILE_LINK
    if page_hashes is not None:
        kind = _PAGE_HASHES["sha1" if algorithm == SHA1 else "sha256"]
        held = der.set_of(der.sequence(der.oid(kind), der.set_of(der.octet_string(page_hashes))))
        link = der.explicit(1, der.octet_string(_PAGE_HASHES_CLASS), der.octet_string(held))
    return spc_indirect_data(SPC_PE_IMAGE_DATA, der.sequence(flags, der.explicit(0, link)), algorithm, digest)


def spc_flat(algorithm: str, digest: bytes) -> bytes:
    """SpcIndirectDataContent of a cabinet, and of any file without a structure of its own in a catalog."""
    return spc_indirect_data(SPC_CABINET, _EMPTY_FILE_LINK, algorithm, digest)


def spc_pe_image_data(digest: bytes, page_hashes: bytes | None = None, *, algorithm: str = "sha256") -> bytes:
    """The content of an embedded PE signature over the image's Authenticode digest."""
    return spc_pe(digest_oid(algorithm), digest, b"\x03\x01\x00", page_hashes)


def spc_cabinet(digest: bytes, *, algorithm: str = "sha256") -> bytes:
    """The content of a cabinet's signature over ``cabinet_digest``."""
    return spc_flat(digest_oid(algorithm), digest)


def content_digest(content: bytes, algorithm: str = "sha256") -> bytes:
    """The digest of the content without its outer tag and length: what messageDigest holds (RFC 2315, 9.3)."""
    return hashlib.new(algorithm, der.content_octets(content)).digest()


def signed_attributes(content_type: str, content_digest: bytes, *, program_name: str | None, url: str | None) -> bytes:
    """The signed attributes as a DER SET OF: sign the SHA-256 (or what made ``content_digest``) of exactly these bytes.

    ``program_name`` and ``url`` make SpcSpOpusInfo, which Windows shows to the user; the URL must be ASCII
    (ValueError).
    """
    opus = b""
    if program_name is not None:
        opus += der.explicit(0, der.implicit(0, program_name.encode("utf-16-be")))
    if url is not None:
        opus += der.explicit(1, der.implicit(0, url.encode("ascii")))
    return der.set_of(
        attribute(CONTENT_TYPE, der.oid(content_type)),
        attribute(MESSAGE_DIGEST, der.octet_string(content_digest)),
        attribute(_STATEMENT_TYPE, der.sequence(der.oid(_INDIVIDUAL))),
        attribute(_OPUS_INFO, der.sequence(opus)),
    )


def signed_data(
    content_type: str,
    content: bytes,
    *,
    certificates: Sequence[bytes],
    attributes: bytes,
    signature: bytes,
    timestamp: bytes | None = None,
    algorithm: str = "sha256",
) -> bytes:
    """PKCS#7 ContentInfo with SignedData version 1.

    ``certificates`` are DER, the signer's first; its key (RSA or EC) decides the signature algorithm. ``attributes``
    come from ``signed_attributes``; ``signature`` is over their digest by ``algorithm`` (sha256, sha384, sha512; others
    are a ValueError). ``timestamp`` is an RFC 3161 token over the signature.
    """
    return signed_data_of(
        content_type,
        content,
        certificates=certificates,
        attributes=attributes,
        signature=signature,
        algorithm=algorithm,
        unsigned=[attribute(RFC3161_TOKEN, timestamp)] if timestamp is not None else [],
    )


# --- Read


@dataclass(frozen=True, slots=True)
class PageHashes:
    """The page hashes in a signature or a catalog's member: hashlib's name, and the list (drivers/page_hashes.py)."""

    algorithm: str
    entries: bytes


@dataclass(frozen=True, slots=True)
class IndirectData:
    """What an SpcIndirectDataContent says of a file."""

    kind: str
    """SPC_PE_IMAGE_DATA, SPC_CABINET or another OID."""
    algorithm: str
    """The digest's OID."""
    digest: bytes
    page_hashes: PageHashes | None

    @property
    def is_pe(self) -> bool:
        """Whether the digest is that of a PE image, not of all bytes of a file."""
        return self.kind == SPC_PE_IMAGE_DATA

    def hash_name(self, *, source: str, allow_sha1: bool = False) -> str:
        """hashlib's name of the digest. VerificationError when it is not SHA-2 (or SHA-1, where that is allowed)."""
        return hash_of(self.algorithm, source=source, what="the signed digest", allow_sha1=allow_sha1).name


def read_indirect_data(content: der.Element) -> IndirectData:
    """Read an SpcIndirectDataContent. ParseError when it is malformed."""
    reader = content.open()
    described = reader.read(der.SEQUENCE, "SpcIndirectDataContent.data").open()
    kind = described.read(der.OBJECT_IDENTIFIER, "data.type").oid("data.type")
    page_hashes = None
    if kind == SPC_PE_IMAGE_DATA and described.next_tag is not None:
        page_hashes = _read_image_data(described.read(der.SEQUENCE, "SpcPeImageData"))
    info = reader.read(der.SEQUENCE, "messageDigest").open()
    reader.finish("SpcIndirectDataContent")
    algorithm = read_digest_algorithm(info.read(der.SEQUENCE, "digestAlgorithm"), "digestAlgorithm")
    digest = info.read(der.OCTET_STRING, "digest").content
    info.finish("messageDigest")
    return IndirectData(kind, algorithm, digest, page_hashes)


def _read_image_data(element: der.Element) -> PageHashes | None:
    """The page hashes of an SpcPeImageData; other links are passed over."""
    field = "SpcPeImageData.file"
    reader = element.open()
    reader.optional(der.BIT_STRING, "SpcPeImageData.flags")
    link = reader.optional(0xA0, field)
    if link is None or link.open().next_tag != 0xA1:
        return None
    moniker = link.only(0xA1, field).open()
    class_id = moniker.read(der.OCTET_STRING, "classId").content
    serialized = moniker.read(der.OCTET_STRING, "serializedData")
    moniker.finish(field)
    if class_id != _PAGE_HASHES_CLASS:
        return None
    held = serialized.only(der.SET, "serializedData").only(der.SEQUENCE, "page hashes").open()
    kind = held.read(der.OBJECT_IDENTIFIER, "page hashes")
    oid = kind.oid("page hashes")
    entries = held.read(der.SET, "page hashes").only(der.OCTET_STRING, "page hashes").content
    held.finish("page hashes")
    for algorithm, known in _PAGE_HASHES.items():
        if oid == known:
            return PageHashes(algorithm, entries)
    raise kind.error(f"{oid} are page hashes of no known algorithm", "page hashes")


def read_opus_info(attributes: dict[str, der.Element]) -> tuple[str | None, str | None]:
    """Program name and URL among signed attributes, None for what is not there."""
    opus = attributes.get(_OPUS_INFO)
    if opus is None:
        return None, None
    if opus.tag != der.SEQUENCE:
        raise opus.error("is not a SEQUENCE", "SpcSpOpusInfo")
    reader = opus.open()
    named, more = reader.optional(0xA0, "programName"), reader.optional(0xA1, "moreInfo")
    program_name = url = None
    if named is not None:
        name = named.open().any("programName")
        program_name = name.text("utf-16-be" if name.tag == 0x80 else "latin-1", "programName")
    if more is not None:
        link = more.open().any("moreInfo")
        url = link.text("latin-1", "moreInfo") if link.tag == 0x80 else None
    return program_name, url


def check_page_hashes(held: PageHashes | None, computed: bytes | None, *, source: str) -> None:
    """Compare the page hashes of a signature or of a catalog's member with those computed. VerificationError."""
    if held is not None and held.entries != computed:
        raise VerificationError("the page hashes are not those of the image", source=source)
