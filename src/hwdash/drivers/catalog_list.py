"""Certificate trust lists of security catalogs, written and read so that what is read is written back byte for byte.

Structure: facts/package-formats.md, "Catalog"; the list itself is in Microsoft's [MS-CAESO] and the CryptoAPI
documentation:

    CertificateTrustList ::= SEQUENCE {
        subjectUsage SEQUENCE { OBJECT IDENTIFIER }, listIdentifier OCTET STRING, thisUpdate UTCTime,
        subjectAlgorithm AlgorithmIdentifier, trustedSubjects SEQUENCE OF TrustedSubject OPTIONAL,
        ctlExtensions [0] EXPLICIT Extensions OPTIONAL }
    TrustedSubject ::= SEQUENCE { subjectIdentifier OCTET STRING, subjectAttributes SET OF Attribute }

A trusted subject stands for one digest of one file: version 1 lists a file by its SHA-1, version 2 by its SHA-1 and
once more by its SHA-256.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.algorithms import SHA1, SHA256, algorithm_identifier
from hwdash.drivers.spc import (
    SPC_CABINET,
    SPC_INDIRECT_DATA,
    SPC_PE_IMAGE_DATA,
    attribute,
    read_indirect_data,
    spc_indirect_data,
    spc_pe,
)

NAME_VALUE_FLAGS: Final = 0x10010001
"""CRYPTCAT_ATTR_AUTHENTICATED | CRYPTCAT_ATTR_NAMEASCII | CRYPTCAT_ATTR_DATAASCII (wintrust's mscat.h)."""
PE_SUBJECT: Final = "{C689AAB8-8E78-11D0-8C47-00C04FC295EE}"
FLAT_SUBJECT: Final = "{DE351A42-8E59-11D0-8C47-00C04FC295EE}"

_CATALOG_LIST: Final = "1.3.6.1.4.1.311.12.1.1"
_VERSIONS: Final = {1: "1.3.6.1.4.1.311.12.1.2", 2: "1.3.6.1.4.1.311.12.1.3"}
_NAME_VALUE: Final = "1.3.6.1.4.1.311.12.2.1"
_MEMBER_INFO_V1: Final = "1.3.6.1.4.1.311.12.2.2"
_MEMBER_INFO_V2: Final = "1.3.6.1.4.1.311.12.2.3"
_MEMBER_VERSION: Final = 0x200
# SpcPeImageFlags as catalogs have them: includeResources, includeDebugInfo, includeImportAddressTable.
_PE_FLAGS: Final = bytes.fromhex("030205a0")
_DIGESTS: Final = {20: SHA1, 32: SHA256}
_BOOLEAN: Final = 0x01


@dataclass(frozen=True, slots=True)
class NameValue:
    """CatalogNameValue ::= SEQUENCE { tag BMPString, flags INTEGER, value OCTET STRING }; the value is text."""

    name: str
    value: str
    flags: int = NAME_VALUE_FLAGS

    def encode(self) -> bytes:
        """The value ends with a NUL, as Windows writes it."""
        text = self.value.encode("utf-16-le") + b"\0\0"
        return der.sequence(der.bmp_string(self.name), der.integer(self.flags), der.octet_string(text))

    @classmethod
    def read(cls, element: der.Element) -> "NameValue":
        """ParseError when it is none."""
        reader = element.open()
        name = reader.read(der.BMP_STRING, "CatalogNameValue.tag").text("utf-16-be", "CatalogNameValue.tag")
        flags = reader.read(der.INTEGER, "CatalogNameValue.flags").integer("CatalogNameValue.flags")
        value = reader.read(der.OCTET_STRING, "CatalogNameValue.value").text("utf-16-le", "CatalogNameValue.value")
        reader.finish("CatalogNameValue")
        return cls(name, value.removesuffix("\0"), flags)


@dataclass(frozen=True, slots=True)
class Subject:
    """One TrustedSubject: a digest, and what the catalog says of the file that has it.

    ``subject_type`` is version 1's MEMBERINFO GUID, empty in version 2. It does not decide how the file was digested:
    real catalogs of version 1 give the flat one to PE images too, so ``is_pe`` is what SPC_INDIRECT_DATA says there.
    """

    digest: bytes
    """20 bytes of SHA-1 or 32 of SHA-256; of a PE image the Authenticode digest."""
    is_pe: bool
    named: tuple[NameValue, ...]
    page_hashes: bytes = b""
    """Offsets and hashes of the image's pages; catalogs have them where an attribute such as PETrusted asks."""
    subject_type: str = ""
    link: str = ""
    """The text of SpcLink, where no page hashes take its place: older kits wrote ``<<<Obsolete>>>`` there."""
    others: tuple[bytes, ...] = ()
    """Attributes of other types, encoded."""
    offset: int = field(default=0, compare=False)
    """Where the subject stands in the file it was read from."""

    def value(self, name: str) -> str:
        """The value of a named attribute; empty when there is none."""
        return next((each.value for each in self.named if each.name == name), "")

    def identifier(self, version: int) -> bytes:
        """Version 2: the digest. Version 1: its upper-case hexadecimal digits as UTF-16 with a NUL."""
        return self.digest if version == 2 else self.digest.hex().upper().encode("utf-16-le") + b"\0\0"

    def encode(self, version: int) -> bytes:
        """TrustedSubject. Only version 2's SHA-1 says nothing of how the file was digested."""
        if version == 2:
            # The member info is an empty structure: only its tag tells a PE image from a flat file.
            info = attribute(_MEMBER_INFO_V2, der.implicit(0 if self.is_pe else 2, b""))
        else:
            guid = self.subject_type or (PE_SUBJECT if self.is_pe else FLAT_SUBJECT)
            info = attribute(_MEMBER_INFO_V1, der.sequence(der.bmp_string(guid), der.integer(_MEMBER_VERSION)))
        described = [info, *(attribute(_NAME_VALUE, each.encode()) for each in self.named), *self.others]
        if version == 1 or len(self.digest) == 32:
            described.append(attribute(SPC_INDIRECT_DATA, self._indirect_data()))
        return der.sequence(der.octet_string(self.identifier(version)), der.set_of(*described))

    def _indirect_data(self) -> bytes:
        algorithm = _DIGESTS[len(self.digest)]
        if self.page_hashes:
            return spc_pe(algorithm, self.digest, _PE_FLAGS, self.page_hashes)
        # SpcLink [2] file with an SpcString [0].
        link = der.explicit(2, der.implicit(0, self.link.encode("utf-16-be")))
        if self.is_pe:
            value = der.sequence(_PE_FLAGS, der.explicit(0, link))
            return spc_indirect_data(SPC_PE_IMAGE_DATA, value, algorithm, self.digest)
        return spc_indirect_data(SPC_CABINET, link, algorithm, self.digest)

    @classmethod
    def read(cls, element: der.Element) -> "Subject":
        """ParseError when it is malformed, or its identifier is no digest."""
        reader = element.open()
        digest = _digest(reader.read(der.OCTET_STRING, "subjectIdentifier"))
        attributes = reader.read(der.SET, "subjectAttributes")
        reader.finish("TrustedSubject")
        named: list[NameValue] = []
        others: list[bytes] = []
        subject_type = ""
        by_info, by_digest = False, None
        page_hashes, link = b"", ""
        for listed in attributes.open().all(der.SEQUENCE, "Attribute"):
            parts = listed.open()
            kind = parts.read(der.OBJECT_IDENTIFIER, "Attribute.type").oid("Attribute.type")
            values = parts.read(der.SET, "Attribute.values").open()
            while values.next_tag is not None:
                value = values.any("Attribute.values")
                if kind == _NAME_VALUE:
                    named.append(NameValue.read(value))
                elif kind == _MEMBER_INFO_V1:
                    guid = value.open().read(der.BMP_STRING, "memberInfo")
                    subject_type = guid.text("utf-16-be", "memberInfo")
                    by_info = subject_type.upper() == PE_SUBJECT
                elif kind == _MEMBER_INFO_V2:
                    by_info = value.tag == 0x80
                elif kind == SPC_INDIRECT_DATA:
                    indirect = read_indirect_data(value)
                    by_digest = indirect.is_pe
                    page_hashes = indirect.page_hashes.entries if indirect.page_hashes else b""
                    link = _link(value)
                else:
                    others.append(listed.encoded)
        is_pe = by_info if by_digest is None else by_digest
        return cls(digest, is_pe, tuple(named), page_hashes, subject_type, link, tuple(others), offset=element.start)


@dataclass(frozen=True, slots=True)
class TrustList:
    """A catalog's content. ``header`` holds name values, or other extensions as they are encoded, in order."""

    list_id: bytes
    when: datetime
    version: int
    subjects: tuple[Subject, ...]
    header: tuple[NameValue | bytes, ...]

    def encode(self) -> bytes:
        """The DER, with the subjects sorted by identifier as Windows searches them; equal ones keep their order."""
        subjects = sorted(self.subjects, key=lambda subject: subject.identifier(self.version))
        header = (
            each if isinstance(each, bytes) else der.sequence(der.oid(_NAME_VALUE), der.octet_string(each.encode()))
            for each in self.header
        )
        return der.sequence(
            der.sequence(der.oid(_CATALOG_LIST)),
            der.octet_string(self.list_id),
            der.utc_time(self.when),
            algorithm_identifier(_VERSIONS[self.version]),
            der.sequence(*(subject.encode(self.version) for subject in subjects)),
            *([der.explicit(0, der.sequence(*header))] if self.header else []),
        )

    @classmethod
    def read(cls, element: der.Element) -> "TrustList":
        """From the content of a catalog. ParseError when it is malformed or of another version."""
        if element.tag != der.SEQUENCE:
            raise element.error("is not a certificate trust list", "CertificateTrustList")
        reader = element.open()
        usage = reader.read(der.SEQUENCE, "subjectUsage")
        if usage.open().read(der.OBJECT_IDENTIFIER, "subjectUsage").oid("subjectUsage") != _CATALOG_LIST:
            raise usage.error("is not that of a catalog", "subjectUsage")
        list_id = reader.read(der.OCTET_STRING, "listIdentifier").content
        when = reader.read(der.UTC_TIME, "thisUpdate").time("thisUpdate")
        algorithm = reader.read(der.SEQUENCE, "subjectAlgorithm")
        named = algorithm.open().read(der.OBJECT_IDENTIFIER, "subjectAlgorithm").oid("subjectAlgorithm")
        version = next((version for version, each in _VERSIONS.items() if each == named), None)
        if version is None:
            raise algorithm.error("is that of no known catalog version", "subjectAlgorithm")
        subjects = tuple(
            Subject.read(subject) for subject in _children(reader.optional(der.SEQUENCE, "trustedSubjects"))
        )
        extensions = reader.optional(0xA0, "ctlExtensions")
        reader.finish("CertificateTrustList")
        return cls(list_id, when, version, subjects, tuple(_read_header(extensions)))


def place(element: der.Element, offset: int) -> str:
    """In words, which part of a trust list holds the byte at ``offset`` of the file."""
    parts = ["subjectUsage", "listIdentifier", "thisUpdate", "subjectAlgorithm", "trustedSubjects"]
    number, part = _holding(element, offset)
    if part is None:
        return "CertificateTrustList"
    if part.tag == 0xA0:
        _, listed = _holding(part, offset)
        return f"ctlExtensions, {_named(listed, offset)}"
    if parts[number] != "trustedSubjects":
        return parts[number]
    _, subject = _holding(part, offset)
    if subject is None:
        return "trustedSubjects"
    number, inner = _holding(subject, offset)
    field = _named(inner, offset) if number else "subjectIdentifier"
    return f"member {Subject.read(subject).value('File')}, {field}"


def _holding(element: der.Element | None, offset: int) -> tuple[int, der.Element | None]:
    """Which of the elements inside this one holds the byte, with its number; None when it is in a tag or length."""
    for number, each in enumerate(element.open().all_tags("element") if element else ()):
        if each.start <= offset < each.end:
            return number, each
    return 0, None


def _named(listed: der.Element | None, offset: int) -> str:
    """The name of the attribute or the extension that holds the byte, or its type where it has no name."""
    number, element = _holding(listed, offset)
    if element is None:
        return "attributes"
    kind, *values = element.open().all_tags("element")
    dotted = kind.oid("type")
    if dotted != _NAME_VALUE:
        return f"attribute {number + 1} ({dotted})"
    return NameValue.read(values[-1].only(der.SEQUENCE, "CatalogNameValue")).name


def _children(element: der.Element | None) -> Iterator[der.Element]:
    return element.open().all(der.SEQUENCE, "TrustedSubject") if element else iter(())


def _digest(identifier: der.Element) -> bytes:
    """The digest itself (version 2), or from its hexadecimal digits in UTF-16 with a NUL (version 1)."""
    digest = identifier.content
    if len(digest) in _DIGESTS:
        return digest
    try:
        digest = bytes.fromhex(digest.decode("utf-16-le").rstrip("\0"))
    except ValueError:
        digest = b""
    if len(digest) not in _DIGESTS:
        raise identifier.error("is neither a digest nor its hexadecimal form", "subjectIdentifier")
    return digest


def _link(element: der.Element) -> str:
    """The text of an SpcIndirectDataContent's SpcLink, empty when it is of another form."""
    value = element.open().read(der.SEQUENCE, "SpcIndirectDataContent.data").open()
    if value.read(der.OBJECT_IDENTIFIER, "data.type").oid("data.type") == SPC_PE_IMAGE_DATA:
        value = value.read(der.SEQUENCE, "SpcPeImageData").open()
        value.optional(der.BIT_STRING, "SpcPeImageData.flags")
        file = value.optional(0xA0, "SpcPeImageData.file")
        value = file.open() if file else value
    link = value.optional(0xA2, "SpcLink")
    text = link.open().optional(0x80, "SpcString") if link else None
    return text.text("utf-16-be", "SpcString") if text else ""


def _read_header(extensions: der.Element | None) -> Iterator[NameValue | bytes]:
    """The CTL's extensions: name values, and others as they are."""
    if extensions is None:
        return
    for extension in _children(extensions.open().read(der.SEQUENCE, "ctlExtensions")):
        reader = extension.open()
        kind = reader.read(der.OBJECT_IDENTIFIER, "extnID").oid("extnID")
        critical = reader.optional(_BOOLEAN, "critical")
        value = reader.read(der.OCTET_STRING, "extnValue")
        if kind == _NAME_VALUE and critical is None:
            yield NameValue.read(value.open().read(der.SEQUENCE, "CatalogNameValue"))
        else:
            yield extension.encoded
