"""Security catalogs: building the certificate trust list that is signed, and reading catalogs of both versions.

Structure: facts/package-formats.md, "Catalog"; the encodings are in ``catalog_list``. A catalog is signed like any
Authenticode content: ``signed_data(CATALOG_CONTENT_TYPE, certificate_trust_list(...), ...)``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hwdash.drivers.asn1 import der
from hwdash.drivers.asn1.signed_data import unverified_content
from hwdash.drivers.authenticode import CATALOG_CONTENT_TYPE, Signature, verify_catalog
from hwdash.drivers.catalog_list import NAME_VALUE_FLAGS, NameValue, Subject, TrustList

__all__ = [
    "CATALOG_CONTENT_TYPE",
    "Catalog",
    "CatalogMember",
    "certificate_trust_list",
    "is_signed",
    "trust_list_element",
]

# Real catalogs with PETrusted members have PE = TRUSTED at the head of the header, without CRYPTCAT_ATTR_AUTHENTICATED.
_HEADER_FLAGS = {"PE": 0x00010001}


@dataclass(frozen=True, slots=True)
class CatalogMember:
    """One file of a catalog. ``name`` is its File attribute, in lower case, without folders.

    The digests of a PE image are its Authenticode digests, those of any other file are over all of it. A member that
    was read may lack one of them: then it is empty. ``os_attribute`` is like ``2:10.0``. ``attributes`` are its other
    names and values, such as PETrusted (an INF's [SignatureAttributes]); with them goes a page hash of the image.
    """

    name: str
    is_pe: bool
    sha1: bytes
    sha256: bytes
    os_attribute: str
    attributes: tuple[tuple[str, str], ...] = ()
    page_hashes: bytes = b""

    def subjects(self, version: int) -> Iterator[Subject]:
        """The trusted subjects that list the file: by SHA-1, and in version 2 also by SHA-256."""
        named = (
            NameValue("File", self.name.lower()),
            NameValue("OSAttr", self.os_attribute),
            *(NameValue(*pair) for pair in self.attributes),
        )
        if version == 1:
            yield Subject(self.sha1, self.is_pe, named, self.page_hashes)
            return
        yield Subject(self.sha1, self.is_pe, named)
        yield Subject(self.sha256, self.is_pe, named, self.page_hashes)


def certificate_trust_list(
    members: Iterable[CatalogMember],
    *,
    list_id: bytes,
    when: datetime,
    attributes: Sequence[tuple[str, str]],
    version: int = 2,
) -> bytes:
    """The DER of a catalog's content.

    Version 2 makes two trusted subjects of each file, one by SHA-1 and one by SHA-256; version 1 (before Windows 8)
    makes one by SHA-1. All are sorted by digest as Windows searches them. Files of equal content are each listed, as
    the dashboard does. ``list_id`` is 16 random bytes, ``when`` carries a time zone, ``attributes`` are the header's
    names and values, in order. ValueError for digests or an id of a wrong length.
    """
    if len(list_id) != 16:
        raise ValueError(f"a list identifier has 16 bytes, not {len(list_id)}")
    subjects: list[Subject] = []
    for member in sorted(members, key=lambda member: (member.name.lower(), member.sha256)):
        if len(member.sha1) != 20 or (version == 2 and len(member.sha256) != 32):
            raise ValueError(f"{member.name}: a member needs a SHA-1 of 20 and a SHA-256 of 32 bytes")
        subjects += member.subjects(version)
    header = tuple(NameValue(name, value, _HEADER_FLAGS.get(name, NAME_VALUE_FLAGS)) for name, value in attributes)
    return TrustList(list_id, when, version, tuple(subjects), header).encode()


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
        signature = verify_catalog(signed, source=source)[0] if verify else None
        trust_list = TrustList.read(trust_list_element(signed, source=source))
        header = ((each.name, each.value) for each in trust_list.header if isinstance(each, NameValue))
        members = _joined([_member(subject) for subject in trust_list.subjects])
        return cls(trust_list.list_id, trust_list.when, trust_list.version, members, tuple(header), signature)


def trust_list_element(signed: bytes, *, source: str) -> der.Element:
    """The content of the catalog file ``signed`` where it stands, whoever signed it. ParseError when it is none."""
    content_type, element = unverified_content(signed, source=source)
    if content_type != CATALOG_CONTENT_TYPE:
        raise element.error("the content is not a catalog", "contentType")
    return element


def is_signed(catalog: bytes, *, source: str) -> bool:
    """Whether anybody signed the catalog: Inf2Cat's comes without a SignerInfo. ParseError when it is malformed."""
    trust_list_element(catalog, source=source)
    info = der.Reader(catalog, source=source).any("ContentInfo").open()
    info.any("contentType")
    *_, signers = info.any("content").only(der.SEQUENCE, "SignedData").open().all_tags("SignedData")
    return bool(signers.content)


def _member(subject: Subject) -> CatalogMember:
    """The member with the one digest that its subject has."""
    sha1, sha256 = (subject.digest, b"") if len(subject.digest) == 20 else (b"", subject.digest)
    others = tuple((each.name, each.value) for each in subject.named if each.name not in ("File", "OSAttr"))
    return CatalogMember(
        subject.value("File"), subject.is_pe, sha1, sha256, subject.value("OSAttr"), others, subject.page_hashes
    )


def _joined(members: list[CatalogMember]) -> tuple[CatalogMember, ...]:
    """Version 2 lists a file by each of its digests: join the two where the name tells which belong together."""
    same: dict[tuple[str, bool, str], list[CatalogMember]] = {}
    for member in members:
        same.setdefault((member.name, member.is_pe, member.os_attribute), []).append(member)
    joined: list[CatalogMember] = []
    for group in same.values():
        by_sha1 = [member for member in group if member.sha1]
        by_sha256 = [member for member in group if member.sha256]
        if len(by_sha1) == len(by_sha256) and len({(member.sha1, member.sha256) for member in group}) == 2:
            joined += [replace(member, sha1=by_sha1[0].sha1) for member in by_sha256]
        else:
            joined += group
    return tuple(sorted(joined, key=lambda member: (member.name, member.sha256, member.sha1)))
