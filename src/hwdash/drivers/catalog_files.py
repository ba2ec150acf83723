"""Files on the disk against a catalog: by the Authenticode digests of a PE image, else by those of all their bytes."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from hwdash.drivers.catalog import Catalog, CatalogMember
from hwdash.drivers.errors import ParseError, VerificationError
from hwdash.drivers.pe import PeImage, measure

ALGORITHMS: Final = ("sha1", "sha256")
"""hashlib's names of the digests in catalogs."""
_BATCH: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """A file with its SHA-1 and its SHA-256."""

    path: Path
    is_pe: bool
    sha1: bytes
    sha256: bytes

    def digest(self, size: int) -> bytes:
        """That of 20 or of 32 bytes."""
        return self.sha1 if size == 20 else self.sha256

    @classmethod
    def measure(cls, path: Path, *, as_image: bool = True) -> "CatalogFile":
        """Read ``path`` once. What is no sound PE image is digested whole, and with ``as_image`` unset any file is.

        OSError when it cannot be read.
        """
        with path.open("rb") as stream:
            if as_image and stream.read(2) == b"MZ":
                try:
                    found = measure(stream, PeImage.open(stream, source=path.name), ALGORITHMS).digests
                except ParseError:
                    pass
                else:
                    return cls(path, True, found["sha1"], found["sha256"])
            return cls(path, False, *whole_digests(stream))

    def page_hashes(self, algorithm: str) -> bytes:
        """Those of the image by this algorithm; empty when it has none."""
        with self.path.open("rb") as stream:
            try:
                image = PeImage.open(stream, source=self.path.name)
                return measure(stream, image, (), pages=(algorithm,)).page_hashes[algorithm]
            except ParseError:
                return b""


def whole_digests(stream: BinaryIO) -> tuple[bytes, bytes]:
    """SHA-1 and SHA-256 over all of a file."""
    sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    stream.seek(0)
    while chunk := stream.read(_BATCH):
        sha1.update(chunk)
        sha256.update(chunk)
    return sha1.digest(), sha256.digest()


class Membership:
    """Says of files whether a catalog lists them. Whether the catalog is to be believed is another question."""

    def __init__(self, catalog: Catalog) -> None:
        self._by_digest: dict[bytes, list[CatalogMember]] = {}
        self._by_name: dict[str, list[CatalogMember]] = {}
        for member in catalog.members:
            self._by_name.setdefault(member.name.casefold(), []).append(member)
            for digest in (member.sha1, member.sha256):
                self._by_digest.setdefault(digest, []).append(member)

    def check(self, file: CatalogFile, *, allow_sha1: bool = False) -> None:
        """VerificationError says why the file is not, as it stands, a member; OSError when it cannot be read.

        The name plays no part: an INF may copy a file under another one. A member that is listed by its SHA-1 alone, as
        all are in version 1, counts only with ``allow_sha1``.
        """
        member = next(self._members_of(file), None)
        if member is None and file.is_pe:
            # The catalog may list an image as a flat file.
            file = CatalogFile.measure(file.path, as_image=False)
            member = next(self._members_of(file), None)
        source = str(file.path)
        if member is None:
            if file.path.name.casefold() in self._by_name:
                raise VerificationError("is not what the catalog lists by this name: it was changed", source=source)
            raise VerificationError("is not listed in the catalog", source=source)
        if not member.sha256 and not allow_sha1:
            raise VerificationError("is listed by SHA-1 alone, which can be forged", source=source)
        algorithm = "sha256" if member.sha256 else "sha1"
        if member.page_hashes and member.page_hashes != file.page_hashes(algorithm):
            raise VerificationError("the page hashes are not those of the image", source=source)

    def _members_of(self, file: CatalogFile) -> Iterator[CatalogMember]:
        for digest in (file.sha256, file.sha1):
            yield from (member for member in self._by_digest.get(digest, []) if member.is_pe == file.is_pe)
