"""Blobs on local files: immutable versions, published atomically, on the disk before they are acknowledged.

    root/incoming/<random>                     files being written; each is locked by its writer
    root/<k[:2]>/<k>/staged/<block id>         blocks of Put Block that no list has committed yet
    root/<k[:2]>/<k>/segments/<random>         the bytes of the versions
    root/<k[:2]>/<k>/versions/<version>.json   one manifest a version; the greatest name is the current one

A version exists from the moment its manifest is renamed into place, after all that it names has reached the disk; so a
crash leaves the old version or the new one. Writers of one key lock its folder (``flock``), readers lock nothing.
No database is involved: Put Block and Put Blob cost no transaction.
"""

import base64
import binascii
import errno
import fcntl
import hashlib
import io
import os
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Literal

from hwdash.clock import Clock, system_clock
from hwdash.storage.blob_files import BlobError, BlobReader, Disk, Part, Segment, names, sync_folder
from hwdash.storage.blob_version import Blob, Conditions

__all__ = [
    "Blob",
    "BlobError",
    "BlobReader",
    "BlobStore",
    "BlobWriter",
    "BlockWriter",
    "Conditions",
    "Segment",
    "StagedBlock",
]

MIB = 1024 * 1024
MAX_BLOCKS = 50_000
"""Blocks of one blob (Microsoft Learn, "Put Block List"), and here also uncommitted blocks of one key."""
MAX_BLOCK_ID_BYTES = 64
"""Bytes of a block id before base64 (Microsoft Learn, "Put Block")."""
UNCOMMITTED_LIFETIME = timedelta(days=7)
"""After this time a block that no list committed is garbage (Microsoft Learn, "Put Block")."""
DEFAULT_CONTENT_TYPE = "application/octet-stream"
BlockKind = Literal["Committed", "Uncommitted", "Latest"]

_KEY = re.compile(r"[0-9a-f]{32}\Z")
_VERSION = re.compile(r"[0-9]{8}-[0-9a-f]{8}\Z")
_UNCONDITIONAL = Conditions()
_LEDGERS = 256


@dataclass(frozen=True, slots=True)
class StagedBlock:
    """A block that was written and not committed: its id in base64 and its size in bytes."""

    block_id: str
    size: int


class BlobWriter(Part):
    """The body of a Put Blob: ``write`` chunks, then ``finish``; leaving ``with`` before that aborts."""

    def __init__(self, store: "BlobStore", key: str, *, length: int | None, hashes: Collection[str]) -> None:
        super().__init__(store.disk, length=length, hashes=hashes)
        self._store = store
        self._key = key

    def finish(
        self,
        *,
        name: str,
        content_type: str = DEFAULT_CONTENT_TYPE,
        expected_md5: bytes | None = None,
        conditions: Conditions = _UNCONDITIONAL,
    ) -> Blob:
        """Publish what was written as the current version, and drop the staged blocks; durable on return.

        ``expected_md5`` needs a writer with ``hashes=("md5",)``.
        BlobError: Md5Mismatch, ConditionNotMet, BlobAlreadyExists.
        """
        self.seal(expected_md5)
        with self._store.locked(self._key) as folder:
            conditions.check_write(self._store.stat(self._key))
            segment = Segment(folder / "segments" / self.path.name, self.size)
            self.move(segment.path)
            return self._store.publish(
                self._key,
                [segment],
                name=name,
                content_type=content_type,
                content_md5=self.digest("md5"),
                sha256=self.digest("sha256"),
            )


class BlockWriter(Part):
    """The body of a Put Block: ``write`` chunks, then ``finish``; leaving ``with`` before that aborts."""

    def __init__(
        self, store: "BlobStore", key: str, block_id: str, *, length: int | None, hashes: Collection[str]
    ) -> None:
        self._file_name = _block_file(block_id)
        store.check_staged(key, self._file_name, length or 0, replaced=None)
        super().__init__(store.disk, length=length, hashes=hashes)
        self._store = store
        self._key = key

    def finish(self, *, expected_md5: bytes | None = None) -> None:
        """Stage the block in place of an earlier one of its id; durable on return.

        BlobError: Md5Mismatch, InvalidBlobOrBlock, BlockCountExceedsLimit, RequestBodyTooLarge.
        """
        self.seal(expected_md5)
        with self._store.locked(self._key, shared=True) as folder:
            target = folder / "staged" / self._file_name
            try:
                replaced = target.stat().st_size
            except FileNotFoundError:
                replaced = None
            self._store.check_staged(self._key, self._file_name, self.size, replaced)
            now = self._store.clock().timestamp()
            os.utime(self.path, (now, now))
            self.move(target)
            self._store.count_staged(self._key, self._file_name, self.size, replaced)
        sync_folder(target.parent)


@dataclass(slots=True)
class _Ledger:
    """What is staged for a key, kept in memory: to list 50,000 files at each Put Block would be quadratic."""

    blocks: int = 0
    size: int = 0
    name_length: int | None = None


class BlobStore:
    """All blobs under ``root``. A key is 32 hexadecimal digits that the caller chooses; any thread may call any method.

    ``max_blob_size`` (bytes) bounds one version, and what is staged for one key. Writes stop while the disk has less
    than ``reserve`` bytes free. A folder once made for a key stays, empty after ``delete``.
    """

    def __init__(
        self,
        root: Path,
        *,
        clock: Clock = system_clock,
        max_blob_size: int = 8 * 1024 * MIB,
        reserve: int = 256 * MIB,
    ) -> None:
        self.root = root.resolve()
        self.disk = Disk(self.root / "incoming", max_blob_size, reserve)
        # What was received must not be lost for want of a place to name it: manifests may use the reserve.
        self._manifests = Disk(self.disk.incoming, MAX_BLOCKS * 1024, 0)
        self.clock = clock
        self._ledgers: OrderedDict[str, _Ledger] = OrderedDict()
        self._ledgers_lock = threading.Lock()
        self._folder_lock = threading.Lock()
        self.disk.incoming.mkdir(parents=True, exist_ok=True)
        sync_folder(self.root.parent)
        sync_folder(self.root)

    # Reading

    def stat(self, key: str, version: str | None = None) -> Blob | None:
        """The current version, or the one named; None when there is none."""
        folder = self._folder(key)
        while True:
            name = version or max(names(folder / "versions"), default="").removesuffix(".json")
            if not _VERSION.match(name):
                return None
            try:
                manifest = (folder / "versions" / f"{name}.json").read_bytes()
            except FileNotFoundError:
                if version:
                    return None
                continue  # replaced and pruned between the two reads: look again
            return Blob.from_manifest(key, name, folder / "segments", manifest)

    def open(self, key: str, version: str | None = None) -> BinaryIO:
        """A seekable, buffered reader over a version. BlobError: BlobNotFound."""
        blob = self.stat(key, version)
        if blob is None:
            raise BlobError("BlobNotFound", f"There is no blob {key}" + (f" of version {version}." if version else "."))
        return io.BufferedReader(BlobReader(blob.segments), MIB)

    def staged_blocks(self, key: str) -> list[StagedBlock]:
        """The blocks that no list has committed, by id."""
        folder = self._folder(key) / "staged"
        blocks = []
        for name in sorted(names(folder)):
            with suppress(FileNotFoundError):  # committed meanwhile
                blocks.append(StagedBlock(_block_id(name), (folder / name).stat().st_size))
        return blocks

    # Writing

    def write_blob(self, key: str, *, length: int | None = None, hashes: Collection[str] = ()) -> BlobWriter:
        """Begin a Put Blob, of ``length`` bytes when known; ``hashes``: the digests ("md5", "sha256") to make."""
        self._folder(key)
        return BlobWriter(self, key, length=length, hashes=hashes)

    def write_block(
        self, key: str, block_id: str, *, length: int | None = None, hashes: Collection[str] = ()
    ) -> BlockWriter:
        """Begin a Put Block under ``block_id``: base64 of 1 to 64 bytes, of one length for all blocks of a blob.

        BlobError: InvalidBlockId, InvalidBlobOrBlock, BlockCountExceedsLimit, RequestBodyTooLarge, InsufficientStorage.
        """
        return BlockWriter(self, key, block_id, length=length, hashes=hashes)

    def commit_blocks(
        self,
        key: str,
        blocks: Sequence[tuple[BlockKind, str]],
        *,
        name: str,
        content_type: str = DEFAULT_CONTENT_TYPE,
        content_md5: bytes | None = None,
        conditions: Conditions = _UNCONDITIONAL,
    ) -> Blob:
        """Publish the listed blocks in their order, and drop the other staged ones; durable on return.

        Staged files are linked into their place, not copied: a crash before the manifest leaves them staged.
        ``content_md5`` is kept unchecked, as Azure does. BlobError: InvalidBlockList, InvalidBlockId,
        BlockCountExceedsLimit, RequestBodyTooLarge, ConditionNotMet, BlobAlreadyExists.
        """
        if len(blocks) > MAX_BLOCKS:
            raise _too_many(len(blocks))
        with self.locked(key) as folder:
            current = self.stat(key)
            conditions.check_write(current)
            committed = {
                segment.block_id: segment for segment in (current.segments if current else ()) if segment.block_id
            }
            staged = {block.block_id: block.size for block in self.staged_blocks(key)}
            fresh: dict[str, Segment] = {}
            segments = []
            for number, (kind, listed) in enumerate(blocks, start=1):
                block_id = _block_id(_block_file(listed))
                if kind != "Committed" and block_id in staged:
                    new = Segment(folder / "segments" / secrets.token_hex(16), staged[block_id], block_id)
                    segments.append(fresh.setdefault(block_id, new))
                elif kind != "Uncommitted" and block_id in committed:
                    segments.append(committed[block_id])
                else:
                    message = (
                        f"Block {number} of the list ({kind}, id {listed}) is not there; send it by Put Block first."
                    )
                    raise BlobError("InvalidBlockList", message)
            self.disk.check_size(sum(segment.size for segment in segments))
            for block_id, segment in fresh.items():
                os.link(folder / "staged" / _block_file(block_id), segment.path)
            return self.publish(key, segments, name=name, content_type=content_type, content_md5=content_md5)

    def put_file(
        self, key: str, source: Path | Iterable[bytes], *, name: str, content_type: str = DEFAULT_CONTENT_TYPE
    ) -> Blob:
        """Publish a result of the service, a file or chunks; the same bytes again give the version that has them."""
        with self.write_blob(key, hashes=("md5", "sha256")) as writer:
            for chunk in _chunks(source) if isinstance(source, Path) else source:
                writer.write(chunk)
            blob = self.stat(key)
            if blob and blob.holds(writer.digest("sha256"), name, content_type):
                return blob
            return writer.finish(name=name, content_type=content_type)

    def adopt_file(self, key: str, path: Path, *, name: str, content_type: str = DEFAULT_CONTENT_TYPE) -> Blob:
        """Publish a result as ``put_file`` does, but move the file ``path`` into the store: nothing is copied.

        Nobody may write to it any more. When the current version has the same bytes, or the file lies on another file
        system (then it is copied), it stays where it is. BlobError: RequestBodyTooLarge, InsufficientStorage.
        """
        size = path.stat().st_size
        self.disk.check_size(size)
        with path.open("rb") as file, ThreadPoolExecutor(3) as beside:
            synced = beside.submit(os.fdatasync, file.fileno())  # the disk writes while the digests are made
            md5, sha256 = beside.map(_digest, (path, path), ("md5", "sha256"))
            synced.result()
        with self.locked(key) as folder:
            blob = self.stat(key)
            if blob and blob.holds(sha256, name, content_type):
                return blob
            segment = Segment(folder / "segments" / secrets.token_hex(16), size)
            with suppress(PermissionError):  # it is the file of the signer's user, and has the group's mode
                path.chmod(0o640)
            try:
                path.rename(segment.path)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
            else:
                return self.publish(
                    key, [segment], name=name, content_type=content_type, content_md5=md5, sha256=sha256
                )
        return self.put_file(key, path, name=name, content_type=content_type)

    # Removing

    def prune(self, key: str, keep: Collection[str], *, superseded_before: datetime | None = None) -> None:
        """Remove the versions that are neither current nor in ``keep``; with a time, only those replaced before it."""
        if not self._folder(key).exists():
            return
        with self.locked(key) as folder:
            versions = sorted(name.removesuffix(".json") for name in names(folder / "versions"))
            doomed = []
            for version, successor in pairwise(versions):
                replaced_at = (folder / "versions" / f"{successor}.json").stat().st_mtime
                if version not in keep and (superseded_before is None or replaced_at < superseded_before.timestamp()):
                    doomed.append(version)
            if doomed:
                self._remove_versions(key, folder, doomed)

    def delete(self, key: str) -> None:
        """Remove every version and every staged block; no error when there is none."""
        if not self._folder(key).exists():
            return
        with self.locked(key) as folder:
            self._remove_versions(key, folder, [name.removesuffix(".json") for name in names(folder / "versions")])
            self._drop_staged(key, folder)

    def collect_garbage(self, now: datetime) -> None:
        """Remove what crashes left behind, and blocks uncommitted for 7 days before ``now``. Safe beside writers."""
        for name in names(self.disk.incoming):
            with suppress(FileNotFoundError, BlockingIOError), (self.disk.incoming / name).open("rb") as part:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (self.disk.incoming / name).unlink()
        for folder in self.root.glob("[0-9a-f][0-9a-f]/*"):
            with self.locked(folder.name):
                self._drop_staged(folder.name, folder, before=(now - UNCOMMITTED_LIFETIME).timestamp())
                self._remove_versions(folder.name, folder, [])

    def _remove_versions(self, key: str, folder: Path, versions: Iterable[str]) -> None:
        """Remove manifests first, so that none names a missing file, then the segments that none names."""
        for version in versions:
            (folder / "versions" / f"{version}.json").unlink()
        sync_folder(folder / "versions")
        unused = set(names(folder / "segments"))
        for name in names(folder / "versions"):
            blob = self.stat(key, name.removesuffix(".json"))
            unused.difference_update(path.name for path in (blob.segment_paths if blob else ()))
        for name in unused:
            (folder / "segments" / name).unlink()

    def _drop_staged(self, key: str, folder: Path, *, before: float | None = None) -> None:
        for name in names(folder / "staged"):
            block = folder / "staged" / name
            if before is None or block.stat().st_mtime < before:
                block.unlink()
        with self._ledgers_lock:
            self._ledgers.pop(key, None)

    # For the writers of this module

    @contextmanager
    def locked(self, key: str, *, shared: bool = False) -> Iterator[Path]:
        """Hold the lock of a key and yield its folder; stagers share it, whoever publishes or removes is alone."""
        folder = self._folder(key)
        if not (folder / "versions").exists():  # made last: where it is, the others are on the disk
            with self._folder_lock:
                for path in (folder.parent, folder, folder / "staged", folder / "segments"):
                    path.mkdir(exist_ok=True)
                for path in (self.root, folder.parent):
                    sync_folder(path)
                (folder / "versions").mkdir(exist_ok=True)
                sync_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            yield folder
        finally:
            os.close(descriptor)

    def publish(
        self,
        key: str,
        segments: Sequence[Segment],
        *,
        name: str,
        content_type: str,
        content_md5: bytes | None,
        sha256: bytes | None = None,
    ) -> Blob:
        """Make ``segments``, which are in their place, the current version, under the lock of the key."""
        folder = self._folder(key)
        sync_folder(folder / "segments")
        newest = max(names(folder / "versions"), default="00000000")
        blob = Blob(
            key=key,
            version=f"{int(newest[:8]) + 1:08}-{secrets.token_hex(4)}",
            size=sum(segment.size for segment in segments),
            etag=f'"0x{secrets.token_hex(8).upper()}"',
            last_modified=self.clock().astimezone(UTC).replace(microsecond=0),
            content_type=content_type,
            content_md5=content_md5,
            sha256=sha256,
            name=name,
            segments=tuple(segments),
        )
        with Part(self._manifests) as part:
            part.write(blob.to_manifest())
            part.seal()
            now = blob.last_modified.timestamp()
            os.utime(part.path, (now, now))
            part.move(folder / "versions" / f"{blob.version}.json")
        sync_folder(folder / "versions")
        self._drop_staged(key, folder)
        return blob

    def check_staged(self, key: str, file_name: str, size: int, replaced: int | None) -> None:
        """Refuse a block whose id has another length than the staged ones, or that makes them too many or too large.

        ``replaced`` is the size of the staged block of the same id, when there is one.
        """
        for recount in (False, True):  # another process may have changed what is staged: look before refusing
            ledger = self._ledger(key, recount=recount)
            fits = ledger.size + size - (replaced or 0) <= self.disk.max_blob_size
            if (
                ledger.name_length in {None, len(file_name)}
                and fits
                and ledger.blocks < MAX_BLOCKS + (replaced is not None)
            ):
                return
        if ledger.name_length != len(file_name):
            message = "The ids of all blocks of a blob have one length; blocks with ids of another length are staged."
            raise BlobError("InvalidBlobOrBlock", message)
        self.disk.check_size(ledger.size + size - (replaced or 0))
        raise _too_many(ledger.blocks + 1)

    def count_staged(self, key: str, file_name: str, size: int, replaced: int | None) -> None:
        """Enter a block that was just staged."""
        ledger = self._ledger(key)
        with self._ledgers_lock:
            ledger.blocks += replaced is None
            ledger.size += size - (replaced or 0)
            ledger.name_length = len(file_name)

    def _ledger(self, key: str, *, recount: bool = False) -> _Ledger:
        with self._ledgers_lock:
            if recount or key not in self._ledgers:
                staged = self.staged_blocks(key)
                length = len(_block_file(staged[0].block_id)) if staged else None
                self._ledgers[key] = _Ledger(len(staged), sum(block.size for block in staged), length)
            self._ledgers.move_to_end(key)
            if len(self._ledgers) > _LEDGERS:
                self._ledgers.popitem(last=False)
            return self._ledgers[key]

    def _folder(self, key: str) -> Path:
        if not _KEY.match(key):
            raise ValueError(f"a blob key is 32 hexadecimal digits, not {key!r}")
        return self.root / key[:2] / key


def _block_file(block_id: str) -> str:
    """The file name of a block: its id in its one canonical form, in the alphabet of base64 that suits file names."""
    try:
        decoded = base64.b64decode(block_id, validate=True)
    except (binascii.Error, ValueError):
        raise BlobError("InvalidBlockId", f"The block id {block_id[:100]!r} is not base64.") from None
    if not 1 <= len(decoded) <= MAX_BLOCK_ID_BYTES:
        message = f"The block id has {len(decoded)} bytes before base64; 1 to {MAX_BLOCK_ID_BYTES} are allowed."
        raise BlobError("InvalidBlockId", message)
    return base64.urlsafe_b64encode(decoded).decode()


def _block_id(file_name: str) -> str:
    return base64.b64encode(base64.urlsafe_b64decode(file_name)).decode()


def _too_many(blocks: int) -> BlobError:
    return BlobError("BlockCountExceedsLimit", f"{blocks} blocks are too many; a blob has at most {MAX_BLOCKS}.")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(MIB):
            yield chunk


def _digest(path: Path, algorithm: str) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=algorithm != "md5")).digest()
