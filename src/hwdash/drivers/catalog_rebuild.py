"""Make a catalog's list anew from the files that it lists, and compare the two byte for byte.

``identical`` proves two things: the files hold what was catalogued, all of them and nothing else; and this encoder
writes what the catalog's maker wrote. What no file tells is taken from the catalog: list id, time, version, header
attributes, and of each member its name and attributes (OSAttr, PETrusted) and which form its link has. That these were
not changed is what the catalog's own signature says, so it must hold; by whom it was made is not asked.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from hwdash.drivers.asn1 import der
from hwdash.drivers.authenticode import catalog_signatures
from hwdash.drivers.catalog import is_signed, trust_list_element
from hwdash.drivers.catalog_files import CatalogFile
from hwdash.drivers.catalog_list import FLAT_SUBJECT, Subject, TrustList, place

_CONSTRUCTED = 0x20
_NAMES = {20: "SHA-1", 32: "SHA-256"}


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a catalog and its files disagree. ``offset`` counts from the start of the catalog file; None when the
    catalog has nothing there. ``where`` names the member or the field."""

    where: str
    message: str
    offset: int | None

    def __str__(self) -> str:
        at = "" if self.offset is None else f", offset {self.offset:#x}"
        return f"{self.where}{at}: {self.message}"


def rebuild(catalog: bytes, files: Iterable[Path], *, source: str) -> list[Difference]:
    """Where the list in ``catalog`` and the one made anew from ``files`` differ: members in the order of the catalog's
    bytes, then files that it does not list. Nothing when they are identical.

    A catalog that is not signed yet is compared all the same. ParseError when the catalog is malformed, OSError when a
    file cannot be read.
    """
    element = trust_list_element(catalog, source=source)
    there = TrustList.read(element)
    given = _Given([CatalogFile.measure(path) for path in sorted(files)])
    # An INF may copy a file under another name, which the catalog then has: names come first, content decides.
    found = [given.take(subject, by_name=True) for subject in there.subjects]
    found = [file or given.take(subject) for subject, file in zip(there.subjects, found, strict=True)]
    differences = list(_broken_signature(catalog, element, source))
    subjects: list[Subject] = []
    for subject, file in zip(there.subjects, found, strict=True):
        if file is None:
            differences.append(given.why_not(subject))
        subjects.append(subject if file is None else _made_from(subject, file, there.version))
    made = replace(there, subjects=tuple(subjects)).encode()
    if made != element.encoded:
        offset = _first(element, der.Reader(made, source="made anew").any("CertificateTrustList"))
        differences.append(Difference(place(element, offset), "the catalog has other bytes than made anew", offset))
    differences.sort(key=lambda difference: difference.offset or 0)
    return differences + list(given.unlisted(there.version))


class _Given:
    """The files, each to be taken once by each of its digests."""

    def __init__(self, files: list[CatalogFile]) -> None:
        self._files = files
        self._taken: set[tuple[Path, int]] = set()
        self._by_digest: dict[bytes, list[CatalogFile]] = {}
        self._by_name: dict[str, list[CatalogFile]] = {}
        for file in files:
            self._by_name.setdefault(file.path.name.casefold(), []).append(file)
            for digest in (file.sha1, file.sha256):
                self._by_digest.setdefault(digest, []).append(file)

    def take(self, subject: Subject, *, by_name: bool = False) -> CatalogFile | None:
        """A file with the subject's digest; of its name only, if asked for."""
        name = subject.value("File").casefold()
        for file in self._by_digest.get(subject.digest, []):
            if self._free(file, subject) and not (by_name and file.path.name.casefold() != name):
                self._taken.add((file.path, len(subject.digest)))
                return file
        return None if by_name else self._take_whole(subject)

    def _take_whole(self, subject: Subject) -> CatalogFile | None:
        """An image that the catalog lists as a flat file."""
        for file in self._named(subject):
            if file.is_pe and not subject.is_pe and self._free(file, subject):
                whole = CatalogFile.measure(file.path, as_image=False)
                if whole.digest(len(subject.digest)) == subject.digest:
                    self._taken.add((file.path, len(subject.digest)))
                    return whole
        return None

    def why_not(self, subject: Subject) -> Difference:
        """Why no file was taken for the subject."""
        size = len(subject.digest)
        if others := [file for file in self._named(subject) if self._free(file, subject)]:
            found = ", ".join(file.digest(size).hex() for file in others)
            message = f"the file was changed: catalogued is {_NAMES[size]} {subject.digest.hex()}, it has {found}"
        else:
            message = f"no file was given for it ({_NAMES[size]} {subject.digest.hex()})"
        return Difference(f"member {subject.value('File')}".rstrip(), message, subject.offset)

    def unlisted(self, version: int) -> Iterator[Difference]:
        """The files that are not in the catalog, or not by each of their digests."""
        sizes = (20,) if version == 1 else (20, 32)
        for file in self._files:
            missing = [_NAMES[size] for size in sizes if (file.path, size) not in self._taken]
            if missing:
                by = "" if len(missing) == len(sizes) else f" by its {missing[0]}"
                yield Difference(f"file {file.path}", f"is not listed in the catalog{by}", None)

    def _named(self, subject: Subject) -> list[CatalogFile]:
        return self._by_name.get(subject.value("File").casefold(), [])

    def _free(self, file: CatalogFile, subject: Subject) -> bool:
        return (file.path, len(subject.digest)) not in self._taken


def _made_from(subject: Subject, file: CatalogFile, version: int) -> Subject:
    """The subject as the file alone makes it, with what no file tells."""
    size = len(subject.digest)
    # Version 1 may give the flat type to an image as well, but never the image's to a flat file.
    subject_type = subject.subject_type if file.is_pe else FLAT_SUBJECT
    return replace(
        subject,
        digest=file.digest(size),
        is_pe=file.is_pe,
        page_hashes=file.page_hashes("sha1" if size == 20 else "sha256") if subject.page_hashes else b"",
        subject_type="" if version == 2 else subject_type,
    )


def _broken_signature(catalog: bytes, element: der.Element, source: str) -> Iterator[Difference]:
    """Nothing when the signature holds over the list, and when there is none."""
    if not is_signed(catalog, source=source):
        return
    if problem := catalog_signatures(catalog, source=source, allow_sha1=True)[0].problem:
        yield Difference("signature", problem, element.start)


def _first(there: der.Element, made: der.Element) -> int:
    """Where the catalog's bytes first say something else: lengths of what holds the difference are passed over."""
    if there.tag != made.tag:
        return there.start
    if not there.tag & _CONSTRUCTED:
        pairs = zip(there.content, made.content, strict=False)
        same = next((at for at, (one, other) in enumerate(pairs) if one != other), None)
        return there.start if same is None else there.body + same
    mine = made.open().all_tags("element")
    for each in there.open().all_tags("element"):
        other = next(mine, None)
        if other is None:
            return each.start
        if each.encoded != other.encoded:
            return _first(each, other)
    return there.end - 1
