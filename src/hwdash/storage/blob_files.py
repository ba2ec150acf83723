"""The files below a blob store: writing one with its limits and digests, and reading many as one."""

import errno
import fcntl
import hashlib
import hmac
import io
import os
import secrets
import threading
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_FREE_SPACE_STEP = 64 * 1024 * 1024


class BlobError(Exception):
    """The store refuses. ``code`` is Azure's word for it (Microsoft Learn, "Blob service error codes").

    BlobAlreadyExists, BlobNotFound, BlockCountExceedsLimit, ConditionNotMet, InternalError (a damaged version),
    InvalidBlobOrBlock, InvalidBlockId, InvalidBlockList, Md5Mismatch, RequestBodyTooLarge; and InsufficientStorage,
    which Azure does not have.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Segment:
    """A file that holds the next ``size`` bytes of a version; ``block_id`` (base64) when it came by Put Block."""

    path: Path
    size: int
    block_id: str | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """Where parts are written, and their limits: bytes of one blob, and bytes of the disk that stay free."""

    incoming: Path
    max_blob_size: int
    reserve: int

    def check_size(self, size: int) -> None:
        """BlobError: RequestBodyTooLarge."""
        if size > self.max_blob_size:
            message = f"{size} bytes are more than this service takes for one blob, {self.max_blob_size}."
            raise BlobError("RequestBodyTooLarge", message)

    def check_room(self, length: int) -> None:
        """BlobError: InsufficientStorage, when ``length`` more bytes would leave less than the reserve."""
        disk = os.statvfs(self.incoming)
        if disk.f_bavail * disk.f_frsize - length < self.reserve:
            message = f"The disk of the blob store has no room for {length} more bytes; free some space and try again."
            raise BlobError("InsufficientStorage", message)


class Part:
    """A file being written in ``incoming``; the lock on it tells ``collect_garbage`` that its writer lives."""

    def __init__(self, disk: Disk, *, length: int | None = None, hashes: Collection[str] = ()) -> None:
        disk.check_size(length or 0)
        disk.check_room(length or 0)
        self._disk = disk
        self._hashes = {name: hashlib.new(name, usedforsecurity=name != "md5") for name in hashes}
        self.size = 0
        # abort() may come from another thread while one writes: it must not close the descriptor below its feet.
        self._busy = threading.RLock()
        while True:
            self.path = disk.incoming / secrets.token_hex(16)
            self._descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if os.fstat(self._descriptor).st_nlink:  # else collect_garbage came between open and lock
                return
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def write(self, *chunks: bytes) -> None:
        """Append ``chunks``, at most 1024 of them (IOV_MAX). BlobError: RequestBodyTooLarge, InsufficientStorage."""
        count = sum(map(len, chunks))
        self._disk.check_size(self.size + count)
        if self.size // _FREE_SPACE_STEP != (self.size + count) // _FREE_SPACE_STEP:
            self._disk.check_room(count)
        with self._busy, _disk_full():
            written = os.writev(self._descriptor, chunks)
            if written < count:  # a signal, or the last bytes of the disk
                rest = memoryview(b"".join(chunks))[written:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
        self.size += count
        for digest in self._hashes.values():
            for chunk in chunks:
                digest.update(chunk)

    def digest(self, name: str) -> bytes | None:
        """The digest of what was written, where the writer was told to make it."""
        return self._hashes[name].digest() if name in self._hashes else None

    def seal(self, expected_md5: bytes | None = None) -> None:
        """Check the client's Content-MD5 and wait until the bytes are on the disk. BlobError: Md5Mismatch."""
        if expected_md5 is not None and not hmac.compare_digest(expected_md5, self.digest("md5") or b""):
            raise BlobError("Md5Mismatch", "The Content-MD5 sent is not that of the bytes received; send them again.")
        with self._busy, _disk_full():
            os.fdatasync(self._descriptor)

    def move(self, target: Path) -> None:
        """Give the file its place; the caller syncs the folder."""
        with self._busy:
            os.rename(self.path, target)
            os.close(self._descriptor)
            self._descriptor = -1

    def abort(self) -> None:
        """Remove the file, unless it has its place already."""
        with self._busy:
            if self._descriptor >= 0:
                self.path.unlink(missing_ok=True)
                os.close(self._descriptor)
                self._descriptor = -1


class BlobReader(io.RawIOBase):
    """A seekable reader over segments; it holds one file open at a time."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        super().__init__()
        self._segments = segments
        self._ends = list(accumulate(segment.size for segment in segments))
        self._position = 0
        self._busy = threading.Lock()  # close() may come while another thread reads
        self._open: tuple[int, int] | None = None  # index of the segment, descriptor
        self.size = self._ends[-1] if self._ends else 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move as ``io.IOBase.seek`` does; ValueError before the start."""
        position = offset + (0, self._position, self.size)[whence]
        if position < 0:
            raise ValueError(f"cannot seek to {position}, before the start of the blob")
        self._position = position
        return position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read up to the end of the current segment."""
        count = self.preadv(memoryview(buffer).cast("B"), self._position)
        self._position += count
        return count

    def preadv(self, target: memoryview, offset: int, flags: int = 0) -> int:
        """Read at ``offset`` up to the end of a segment, without moving; ``flags`` are those of preadv2(2).

        0 at the end of the blob. BlockingIOError when ``flags`` forbid to wait. BlobError: BlobNotFound when it
        was removed, InternalError when a file is shorter than the manifest says.
        """
        if offset >= self.size or not target:
            return 0
        index = bisect_right(self._ends, offset)
        segment = self._segments[index]
        within = offset - (self._ends[index] - segment.size)
        with self._busy:
            count = os.preadv(self._descriptor(index), [target[: segment.size - within]], within, flags)
        if count == 0:
            message = f"{segment.path.name} ends at {within} of {segment.size} bytes; restore it from a backup."
            raise BlobError("InternalError", message)
        return count

    def _descriptor(self, index: int) -> int:
        if self._open is None or self._open[0] != index:
            self._release()
            try:
                self._open = index, os.open(self._segments[index].path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise BlobError("BlobNotFound", "This version of the blob was removed.") from None
        return self._open[1]

    def _release(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def close(self) -> None:
        """Close the open segment."""
        with self._busy:
            self._release()
        super().close()


def names(folder: Path) -> list[str]:
    """The names in a folder; none when there is no folder."""
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def sync_folder(folder: Path) -> None:
    """Wait until what was renamed into a folder is there for good."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disk_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        message = "The disk of the blob store is full; free some space and try again."
        raise BlobError("InsufficientStorage", message) from error
