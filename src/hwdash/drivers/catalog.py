"""Security catalogs: building the certificate trust list that is signed, and reading catalogs of both versions.

Structure: facts/package-formats.md, "Catalog"; the CTL itself is in Microsoft's [MS-CAESO] and the CryptoAPI
documentation:

    CertificateTrustList ::= SEQUENCE {
        subjectUsage SEQUENCE { OBJECT IDENTIFIER }, listIdentifier OCTET STRING, thisUpdate UTCTime,
        subjectAlgorithm AlgorithmIdentifier, trustedSubjects SEQUENCE OF TrustedSubject, ctlExtensions [0] EXPLICIT
        Extensions } TrustedSubject ::= SEQUENCE { subjectIdentifier OCTET STRING, subjectAttributes SET OF Attribute }

A catalog is signed like any Authenticode content: ``signed_data(CATALOG_CONTENT_TYPE, certificate_trust_list(...),
...)``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.signed_data import SHA256, unverified_content
from hwdash.drivers.authenticode import (
    CATALOG_CONTENT_TYPE,
    SPC_INDIRECT_DATA,
    Signature,
    algorithm_identifier,
    attribute,
    spc_flat,
    spc_pe,
    verify_catalog,
)

__all__ = ["CATALOG_CONTENT_TYPE", "Catalog", "CatalogMember", "certificate_trust_list"]

_CATALOG_LIST: Final = "1.3.6.1.4.1.311.12.1.1"
_MEMBER_V1: Final = "1.3.6.1.4.1.311.12.1.2"
_MEMBER_V2: Final = "1.3.6.1.4.1.311.12.1.3"
_NAME_VALUE: Final = "1.3.6.1.4.1.311.12.2.1"
_MEMBER_INFO_V1: Final = "1.3.6.1.4.1.311.12.2.2"
_MEMBER_INFO_V2: Final = "1.3.6.1.4.1.311.12.2.3"
_PE_SUBJECT: Final = "{C689AAB8-8E78-11D0-8C47-00C04FC295EE}"
# SpcPeImageFlags as catalogs have them: includeResources, includeDebugInfo, includeImportAddressTable.
_PE_FLAGS: Final = bytes.fromhex("030205a0")
_NAME_VALUE_FLAGS: Final = 0x10010001
_BOOLEAN: Final = 0x01


@dataclass(frozen=True, slots=True)
class CatalogMember:
    """One file of a catalog. ``name`` is its File attribute, in lower case, without folders.

    The digests of a PE image are its Authenticode digests, those of any other file are over all of it. A member that
    was read may lack one of them: then it is empty. ``os_attribute`` is like ``2:10.0``.
    """

    name: str
    is_pe: bool
    sha1: bytes
    sha256: bytes
    os_attribute: str


def certificate_trust_list(
    members: Iterable[CatalogMember],
    *,
    list_id: bytes,
    when: datetime,
    attributes: Sequence[tuple[str, str]],
) -> bytes:
    """The DER of a version 2 catalog's content.

    Each file becomes two trusted subjects, one by SHA-1 and one by SHA-256, all sorted by digest as Windows searches
    them; files of equal content are listed once, under the first name in order. ``list_id`` is 16 random bytes,
    ``when`` carries a time zone, ``attributes`` are the header's names and values, in order. ValueError for digests or
    an id of a wrong length.
    """
    if len(list_id) != 16:
        raise ValueError(f"a list identifier has 16 bytes, not {len(list_id)}")
    subjects: dict[bytes, bytes] = {}
    for member in sorted(members, key=lambda member: (member.name.lower(), member.sha256)):
        if len(member.sha1) != 20 or len(member.sha256) != 32:
            raise ValueError(f"{member.name}: a member needs a SHA-1 of 20 and a SHA-256 of 32 bytes")
        described = (
            # The member info is an empty structure: only its tag tells a PE image from a flat file.
            attribute(_MEMBER_INFO_V2, der.implicit(0 if member.is_pe else 2, b"")),
            attribute(_NAME_VALUE, _name_value("OSAttr", member.os_attribute)),
            attribute(_NAME_VALUE, _name_value("File", member.name.lower())),
        )
        indirect = spc_pe(SHA256, member.sha256, _PE_FLAGS) if member.is_pe else spc_flat(SHA256, member.sha256)
        subjects.setdefault(member.sha1, der.set_of(*described))
        subjects.setdefault(member.sha256, der.set_of(*described, attribute(SPC_INDIRECT_DATA, indirect)))
    header = (der.sequence(der.oid(_NAME_VALUE), der.octet_string(_name_value(*pair))) for pair in attributes)
    return der.sequence(
        der.sequence(der.oid(_CATALOG_LIST)),
        der.octet_string(list_id),
        der.utc_time(when),
        algorithm_identifier(_MEMBER_V2),
        der.sequence(*(der.sequence(der.octet_string(key), subjects[key]) for key in sorted(subjects))),
        *([der.explicit(0, der.sequence(*header))] if attributes else []),
    )


def _name_value(name: str, value: str) -> bytes:
    """CatalogNameValue ::= SEQUENCE { tag BMPString, flags INTEGER, value OCTET STRING }."""
    text = value.encode("utf-16-le") + b"\0\0"
    return der.sequence(der.bmp_string(name), der.integer(_NAME_VALUE_FLAGS), der.octet_string(text))


@dataclass(frozen=True, slots=True)
class Catalog:
    """A catalog that was read. ``version`` is 1 (SHA-1 members) or 2; ``attributes`` are the header's, in order."""

    list_id: bytes
    when: datetime
    version: int
    members: tuple[CatalogMember, ...]
    attributes: tuple[tuple[str, str], ...]
    signature: Signature | None

    @classmethod
    def parse(cls, signed: bytes, *, source: str, verify: bool = True) -> "Catalog":
        """Read the catalog file ``signed``. With ``verify`` its signature must hold, else ``signature`` is None.

        ParseError for a malformed catalog, VerificationError for a signature that does not hold.
        """
        if verify:
            signature, content = verify_catalog(signed, source=source)
            return cls._from_list(content, signature, source)
        content_type, element = unverified_content(signed, source=source)
        if content_type != CATALOG_CONTENT_TYPE:
            raise element.error("the content is not a catalog", "contentType")
        return cls._from_list(element.encoded, None, source)

    @classmethod
    def _from_list(cls, content: bytes, signature: Signature | None, source: str) -> "Catalog":
        outer = der.Reader(content, source=source)
        reader = outer.read(der.SEQUENCE, "CertificateTrustList").open()
        outer.finish("CertificateTrustList")
        usage = reader.read(der.SEQUENCE, "subjectUsage")
        if usage.open().read(der.OBJECT_IDENTIFIER, "subjectUsage").oid("subjectUsage") != _CATALOG_LIST:
            raise usage.error("is not that of a catalog", "subjectUsage")
        list_id = reader.read(der.OCTET_STRING, "listIdentifier").content
        when = reader.read(der.UTC_TIME, "thisUpdate").time("thisUpdate")
        algorithm = reader.read(der.SEQUENCE, "subjectAlgorithm")
        version = {_MEMBER_V1: 1, _MEMBER_V2: 2}.get(
            algorithm.open().read(der.OBJECT_IDENTIFIER, "subjectAlgorithm").oid("subjectAlgorithm")
        )
        if version is None:
            raise algorithm.error("is that of no known catalog version", "subjectAlgorithm")
        subjects = reader.optional(der.SEQUENCE, "trustedSubjects")
        members = [_read_member(subject) for subject in _children(subjects, "trustedSubjects")]
        extensions = reader.optional(0xA0, "ctlExtensions")
        reader.finish("CertificateTrustList")
        attributes = _read_header(extensions)
        return cls(list_id, when, version, _joined(members), attributes, signature)


def _children(element: der.Element | None, field: str) -> Iterator[der.Element]:
    return element.open().all(der.SEQUENCE, field) if element else iter(())


def _read_member(subject: der.Element) -> CatalogMember:
    """TrustedSubject: the member with the one digest that its identifier is, in both versions."""
    reader = subject.open()
    identifier = reader.read(der.OCTET_STRING, "subjectIdentifier")
    attributes = reader.read(der.SET, "subjectAttributes")
    reader.finish("TrustedSubject")
    named: dict[str, str] = {}
    is_pe = False
    for listed in attributes.open().all(der.SEQUENCE, "Attribute"):
        parts = listed.open()
        kind = parts.read(der.OBJECT_IDENTIFIER, "Attribute.type").oid("Attribute.type")
        values = parts.read(der.SET, "Attribute.values").open()
        while values.next_tag is not None:
            value = values.any("Attribute.values")
            if kind == _NAME_VALUE:
                named.update([_read_name_value(value)])
            elif kind == _MEMBER_INFO_V1:
                guid = value.open().read(der.BMP_STRING, "memberInfo").text("utf-16-be", "memberInfo")
                is_pe = guid.upper() == _PE_SUBJECT
            elif kind == _MEMBER_INFO_V2:
                is_pe = value.tag == 0x80
    digest = _digest(identifier)
    sha1, sha256 = (digest, b"") if len(digest) == 20 else (b"", digest)
    return CatalogMember(named.get("File", ""), is_pe, sha1, sha256, named.get("OSAttr", ""))


def _digest(identifier: der.Element) -> bytes:
    """The digest itself (version 2), or from SHA-1 in hexadecimal UTF-16 with a NUL (version 1)."""
    digest = identifier.content
    if len(digest) in (20, 32):
        return digest
    try:
        digest = bytes.fromhex(digest.decode("utf-16-le").rstrip("\0"))
    except ValueError:
        digest = b""
    if len(digest) not in (20, 32):
        raise identifier.error("is neither a digest nor its hexadecimal form", "subjectIdentifier")
    return digest


def _read_name_value(element: der.Element) -> tuple[str, str]:
    reader = element.open()
    name = reader.read(der.BMP_STRING, "CatalogNameValue.tag").text("utf-16-be", "CatalogNameValue.tag")
    reader.read(der.INTEGER, "CatalogNameValue.flags")
    value = reader.read(der.OCTET_STRING, "CatalogNameValue.value").text("utf-16-le", "CatalogNameValue.value")
    reader.finish("CatalogNameValue")
    return name, value.removesuffix("\0")


def _read_header(extensions: der.Element | None) -> tuple[tuple[str, str], ...]:
    """The name values among the CTL's extensions; others are passed over."""
    attributes: list[tuple[str, str]] = []
    listed = extensions.open().read(der.SEQUENCE, "ctlExtensions") if extensions else None
    for extension in _children(listed, "Extension"):
        reader = extension.open()
        kind = reader.read(der.OBJECT_IDENTIFIER, "extnID").oid("extnID")
        reader.optional(_BOOLEAN, "critical")
        value = reader.read(der.OCTET_STRING, "extnValue")
        if kind == _NAME_VALUE:
            attributes.append(_read_name_value(value.open().read(der.SEQUENCE, "CatalogNameValue")))
    return tuple(attributes)


def _joined(members: list[CatalogMember]) -> tuple[CatalogMember, ...]:
    """Version 2 lists a file by each of its digests: join the two where the name tells which belong together."""
    same: dict[tuple[str, bool, str], list[CatalogMember]] = {}
    for member in members:
        same.setdefault((member.name, member.is_pe, member.os_attribute), []).append(member)
    joined: list[CatalogMember] = []
    for group in same.values():
        by_sha1 = [member for member in group if member.sha1]
        by_sha256 = [member for member in group if member.sha256]
        if len(by_sha1) == len(by_sha256) == 1:
            joined.append(replace(by_sha1[0], sha256=by_sha256[0].sha256))
        else:
            joined.extend(group)
    return tuple(sorted(joined, key=lambda member: (member.name, member.sha256, member.sha1)))
