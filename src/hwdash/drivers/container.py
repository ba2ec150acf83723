"""What a driver package offers, whichever container holds it: ``Cabinet``, ``ZipPackage`` and ``Hlkx`` are alike."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from hwdash.drivers.cab import CabinetLimits


class PackageFile(Protocol):
    """One file of a package. ``name`` has slashes or backslashes and may be unsafe: see drivers/package.py."""

    @property
    def name(self) -> str:
        """The name inside the package."""

    @property
    def size(self) -> int:
        """Bytes when unpacked, as declared; ``extract`` gives exactly as many or raises ParseError."""


class PackageContainer(Protocol):
    """A package whose headers were read: first ``check_limits``, then everything else."""

    @property
    def source(self) -> str:
        """The file's name, for messages."""

    @property
    def files(self) -> Sequence[PackageFile]:
        """Every file of the package; folders are not listed."""

    def check_limits(self, limits: CabinetLimits) -> None:
        """LimitExceeded when unpacking would cost more than ``limits``."""

    def extract(self) -> Iterator[tuple[PackageFile, Iterator[bytes]]]:
        """Every file with its content in pieces of at most 256 KiB; memory stays flat.

        An iterator of pieces is good until the next file is asked for. ParseError when the content is damaged.
        """
