"""One immutable version of a blob: its manifest, and the conditions under which a newer one may replace it."""

import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hwdash.storage.blob_files import BlobError, Segment


@dataclass(frozen=True, slots=True)
class Blob:
    """A version of a blob.

    ``version`` sorts by age as text; ``size`` is in bytes; ``etag`` has its quotes; ``last_modified`` is in UTC, whole
    seconds. ``content_md5`` (16 bytes) is the computed one, or for a block list what the client said; ``sha256`` is
    known only where the service wrote the blob itself.
    """

    key: str
    version: str
    size: int
    etag: str
    last_modified: datetime
    content_type: str
    content_md5: bytes | None
    sha256: bytes | None
    name: str
    segments: tuple[Segment, ...]

    @property
    def segment_paths(self) -> tuple[Path, ...]:
        """The files to which a reader in a sandbox needs access."""
        return tuple(dict.fromkeys(segment.path for segment in self.segments))

    def holds(self, sha256: bytes | None, name: str, content_type: str) -> bool:
        """Whether this version has these bytes, by their digest, under this name and type."""
        same = hmac.compare_digest(self.sha256 or b"", sha256 or b"") and self.sha256 is not None
        return same and (self.name, self.content_type) == (name, content_type)

    def to_manifest(self) -> bytes:
        """The manifest's JSON: all but key, version and folder, which its path says."""
        return json.dumps(
            {
                "size": self.size,
                "etag": self.etag,
                "lastModified": int(self.last_modified.timestamp()),
                "contentType": self.content_type,
                "contentMd5": self.content_md5.hex() if self.content_md5 else None,
                "sha256": self.sha256.hex() if self.sha256 else None,
                "name": self.name,
                "segments": [[segment.path.name, segment.size, segment.block_id] for segment in self.segments],
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def from_manifest(cls, key: str, version: str, folder: Path, manifest: bytes) -> "Blob":
        """Read what ``to_manifest`` wrote; ``folder`` holds the segments. BlobError: InternalError."""
        try:
            fields = json.loads(manifest)
            return cls(
                key=key,
                version=version,
                size=fields["size"],
                etag=fields["etag"],
                last_modified=datetime.fromtimestamp(fields["lastModified"], UTC),
                content_type=fields["contentType"],
                content_md5=bytes.fromhex(fields["contentMd5"]) if fields["contentMd5"] else None,
                sha256=bytes.fromhex(fields["sha256"]) if fields["sha256"] else None,
                name=fields["name"],
                segments=tuple(Segment(folder / name, size, block_id) for name, size, block_id in fields["segments"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            message = f"The manifest of blob {key}, version {version}, is damaged; restore it from a backup."
            raise BlobError("InternalError", message) from error


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold for the current version when a new one is published; ETags with their quotes, or ``*``.

    Source: Microsoft Learn, "Specifying conditional headers for Blob service operations".
    """

    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    if_modified_since: datetime | None = None
    if_unmodified_since: datetime | None = None

    def check_write(self, current: Blob | None) -> None:
        """Raise BlobAlreadyExists or ConditionNotMet when the write must not happen."""
        if current is None:
            if self.if_match:
                raise BlobError("ConditionNotMet", "If-Match was sent, and there is no such blob yet.")
            return
        if "*" in self.if_none_match:
            raise BlobError("BlobAlreadyExists", "The blob already exists; send no If-None-Match: * to replace it.")
        if (
            (self.if_match and "*" not in self.if_match and current.etag not in self.if_match)
            or current.etag in self.if_none_match
            or (not self.if_none_match and self.if_modified_since and current.last_modified <= self.if_modified_since)
            or (not self.if_match and self.if_unmodified_since and current.last_modified > self.if_unmodified_since)
        ):
            raise BlobError(
                "ConditionNotMet", f"The blob is now {current.etag}, which the condition sent does not allow."
            )
