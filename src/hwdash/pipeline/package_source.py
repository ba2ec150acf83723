"""Which container a package is: it is known by its first bytes, never by its name."""

import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from hwdash.drivers.authenticode import Signature, verify_cabinet
from hwdash.drivers.cab import Cabinet, CabinetLimits
from hwdash.drivers.container import PackageContainer
from hwdash.drivers.errors import LimitExceeded, ParseError, VerificationError
from hwdash.drivers.findings import Finding
from hwdash.drivers.hlkx import Hlkx, verify_hlkx
from hwdash.drivers.opc import CONTENT_TYPES
from hwdash.drivers.package import Kind
from hwdash.drivers.zip_package import ZipPackage
from hwdash.storage.blobs import BlobReader, Segment

Form = Literal["cabinet", "HLK package", "zip file", "folder"]

FORM_OF: dict[Kind, Form] = {"attestation": "cabinet", "preproduction": "cabinet", "whql": "HLK package"}
"""What is submitted (contract/dashboard.md 32, contract/api.md 4.17)."""

SPOOL = "spool"
READ_BATCH = 1 << 20
PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class PackageSource:
    """An opened package: its headers are read, nothing else."""

    form: Form
    container: PackageContainer
    stream: BinaryIO | None

    @property
    def is_signed(self) -> bool:
        """There is a signature, which may hold or not."""
        return isinstance(self.container, Cabinet | Hlkx) and self.container.signature is not None

    @property
    def findings(self) -> list[Finding]:
        """What the container tells of itself, its signature not verified."""
        return self.container.findings if isinstance(self.container, Hlkx) else []

    def verify(self) -> Signature:
        """The signature, when it holds. Raises VerificationError, ParseError and LimitExceeded."""
        if isinstance(self.container, Hlkx):
            return verify_hlkx(self.container, source=self.container.source)
        if isinstance(self.container, Cabinet) and self.stream is not None:
            return verify_cabinet(self.stream, self.container, source=self.container.source)
        raise VerificationError(f"a {self.form} carries no signature", source=self.container.source)


@contextmanager
def opened(paths: Sequence[Path], name: str, spool: Path) -> Iterator[PackageSource]:
    """Open the package that lies in ``paths``: the segments of one file, or one folder of driver folders.

    ``name`` is for messages. ``spool`` is a folder for a temporary file, where an HLK package needs one. Raises
    ParseError.
    """
    if len(paths) == 1 and paths[0].is_dir():
        yield PackageSource("folder", DriverFolders(paths[0], name), None)
        return
    segments = [Segment(path, path.stat().st_size) for path in paths]
    with io.BufferedReader(BlobReader(segments), READ_BATCH) as stream:
        if stream.peek(2)[:2] != b"PK":
            yield PackageSource("cabinet", Cabinet.open(stream, source=name), stream)
            return
        archive = ZipPackage.open(stream, source=name)
        if not any(file.name == CONTENT_TYPES for file in archive.files):
            yield PackageSource("zip file", archive, stream)
            return
        with closing(Hlkx.open(stream, source=name, spool=lambda: (spool / SPOOL).open("w+b"))) as package:
            try:
                yield PackageSource("HLK package", package, stream)
            finally:
                if (spool / SPOOL).exists():
                    os.truncate(spool / SPOOL, 0)


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A file of a package that is not built yet; ``name`` has slashes."""

    name: str
    size: int
    path: Path


class DriverFolders:
    """A folder of driver folders on this machine, looked at as the package that will be built of it.

    A folder that holds an INF, and no folder that does, is taken for one driver folder itself. Links are not followed.
    """

    def __init__(self, root: Path, source: str) -> None:
        self.source = source
        found = sorted(
            (path.relative_to(root), path) for path in root.rglob("*") if path.is_symlink() or not path.is_dir()
        )
        if refused := [inside for inside, path in found if not stat.S_ISREG(path.lstat().st_mode)]:
            raise ParseError(f"{refused[0]} is a link or a device: put the file itself there", source=source)
        infs = {len(inside.parts) for inside, _ in found if inside.suffix.lower() == ".inf"}
        # A package's paths begin with the driver folder's name.
        prefix = f"{root.resolve().name}/" if infs == {1} else ""
        self.files: Sequence[FolderFile] = [
            FolderFile(prefix + inside.as_posix(), path.stat().st_size, path) for inside, path in found
        ]

    def check_limits(self, limits: CabinetLimits) -> None:
        """LimitExceeded when the package would have more files or bytes than ``limits`` allow."""
        total = sum(file.size for file in self.files)
        for found, allowed, what in (
            (len(self.files), limits.max_files, "files"),
            (total, limits.max_total_bytes, "bytes"),
        ):
            if found > allowed:
                raise LimitExceeded(f"{found} {what}, at most {allowed} are allowed", source=self.source)

    def extract(self) -> Iterator[tuple[FolderFile, Iterator[bytes]]]:
        """Every file with its content in pieces."""
        for file in self.files:
            yield file, _pieces(file.path)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield piece
