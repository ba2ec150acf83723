"""HLK and HCK packages (``.hlkx``, ``.hckx``): what the package tells of itself, the drivers inside, its signature.

**Built without a real sample.** It is documented that these files follow the Open Packaging Conventions and are signed
by their rules; what lies where inside is not. docs/explanation/hlkx.md says what was read out of public code and bug
reports and what is only inferred, and every package gets the finding ``package.hlkx-unproven``.

Drivers are found by content:

- in a part that is a cabinet or a zip file with an ``.inf`` file in it;
- in parts that have a file's name and lie in a folder with an ``.inf`` part.

Each topmost folder with an INF in it becomes a driver folder of that name, as in a cabinet for attestation signing.
"""

import io
import posixpath
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any, BinaryIO, Final
from urllib.parse import unquote

from lxml import etree

from hwdash.drivers.authenticode import Signature
from hwdash.drivers.cab import Cabinet, CabinetLimits
from hwdash.drivers.container import PackageContainer
from hwdash.drivers.errors import LimitExceeded, ParseError, VerificationError
from hwdash.drivers.findings import Finding
from hwdash.drivers.opc import OpcPackage, Part, relationships_source
from hwdash.drivers.opc_signature import signature_origin, signature_parts, verify_signatures
from hwdash.drivers.zip_package import ZipPackage

PACKAGE_INFO: Final = "/hck/data/PackageInfo.xml"
_FORMS: Final = {b"MSCF": "cabinet", b"PK\x03\x04": "zip file"}
_OPEN: Final[dict[str, Callable[..., PackageContainer]]] = {"cabinet": Cabinet.open, "zip file": ZipPackage.open}
_LISTED: Final = 3  # parts in one message
_MAX_DEPTH: Final = 32  # folders above a driver folder that are looked at
UNPROVEN: Final = Finding(
    rule="package.hlkx-unproven",
    level="warning",
    message="HLK and HCK packages are read without a documented layout, and this was never tested on a real one.",
    remedy="Compare the drivers found with those you put in, and report what is wrong or missing.",
    inferred=True,
)


@dataclass(frozen=True, slots=True)
class ResultCount:
    """How many tests passed, failed and did not run."""

    passed: int
    failed: int
    not_run: int


@dataclass(frozen=True, slots=True)
class PackageInfo:
    """What PackageInfo.xml says. Its schema is not documented: whatever is not where it was seen is None or empty."""

    type: str | None
    kit_version: str | None
    package_version: str | None
    format_version: str | None
    project: str | None
    is_universal: bool | None
    is_windows_driver: bool | None
    operating_systems: tuple[str, ...]
    """OS codes, each once."""
    driver_ids: tuple[str, ...]
    replaced_driver_ids: tuple[str, ...]
    """Of an update: the ids of the drivers that its own replace."""
    tests: ResultCount | None

    @classmethod
    def read(cls, root: etree._Element) -> "PackageInfo":
        """Read leniently, by local names, whatever the namespace."""
        named: dict[str, list[etree._Element]] = {}
        # Breadth first: of what occurs on several levels, the topmost is the whole package's.
        level = [root]
        while level:
            for element in level:
                named.setdefault(str(element.tag).rpartition("}")[2], []).append(element)
            level = [child for element in level for child in element.iterchildren(tag=etree.Element)]

        def first(element: str, attribute: str) -> str | None:
            return next((found for each in named.get(element, []) if (found := each.get(attribute)) is not None), None)

        codes = [each.get("Name") for each in named.get("Code", [])]
        codes += [each.get("Code") for each in named.get("OperatingSystem", [])]
        counts = [first("TestRollup", name) or "" for name in ("Passed", "Failed", "NotRun")]
        numbers = [int(count) for count in counts if count.isascii() and count.isdecimal() and len(count) < 10]
        return cls(
            type=root.get("Type"),
            kit_version=root.get("KitVersion"),
            package_version=root.get("PackageVersion"),
            format_version=root.get("PackageFormatVersion"),
            project=first("Project", "Name"),
            is_universal=_truth(next((found for name in named if (found := first(name, "IsUniversal"))), None)),
            is_windows_driver=_truth(root.get("IsWindowsDriverProject")),
            operating_systems=tuple(dict.fromkeys(code for code in codes if code)),
            driver_ids=tuple(dict.fromkeys(found for each in named.get("Driver", []) if (found := each.get("Id")))),
            replaced_driver_ids=tuple(
                dict.fromkeys(found for each in named.get("Driver", []) if (found := each.get("ReplacesId")))
            ),
            tests=ResultCount(*numbers) if len(numbers) == 3 else None,
        )


def _truth(text: str | None) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get((text or "").lower())


@dataclass(frozen=True, slots=True)
class HlkxFile:
    """One file of a driver. ``name`` begins with the driver folder; ``part`` is the part that it was found in."""

    name: str
    size: int
    part: str


@dataclass(frozen=True, slots=True)
class DriverSet:
    """One driver folder with its files, and how it was found: ``form`` is cabinet, zip file or parts."""

    folder: str
    form: str
    part: str
    """The cabinet or zip file; the folder, where the files are parts of their own."""
    files: tuple[HlkxFile, ...]


@dataclass(frozen=True, slots=True)
class _Archive:
    """A cabinet or zip file inside; ``names`` are the files of drivers in it, by the name they have there."""

    container: PackageContainer
    names: Mapping[str, HlkxFile]


@dataclass(frozen=True, slots=True)
class _Contents:
    """All that was found inside, once."""

    drivers: tuple[DriverSet, ...]
    archives: tuple[_Archive, ...]
    parts: tuple[tuple[Part, HlkxFile], ...]
    unreadable: tuple[Finding, ...]


class Hlkx:
    """An HLK or HCK package: the driver files in it, as a ``PackageContainer``.

    Cabinets and zip files inside are copied to a temporary file, one for all, when ``files`` is first asked for;
    ``close`` removes it.
    """

    def __init__(self, package: OpcPackage, info: PackageInfo, spool: Callable[[], IO[bytes]]) -> None:
        self.source = package.source
        self.package = package
        self.package_info = info
        self._new_spool = spool
        self._spool: IO[bytes] | None = None
        self._limits = CabinetLimits()

    @classmethod
    def open(cls, stream: BinaryIO, *, source: str, spool: Callable[[], IO[bytes]] = tempfile.TemporaryFile) -> "Hlkx":
        """Read the directory, the types and the PackageInfo.xml of the package in ``stream`` (seekable).

        ``spool`` makes an empty temporary file, opened for writing and reading. ParseError when it is no such package
        or a hostile one (see drivers/zip_package.py and drivers/opc.py).
        """
        package = OpcPackage.open(stream, source=source)
        part = package.part(PACKAGE_INFO)
        if part is None:
            message = f"no {PACKAGE_INFO}: not a package that HLK Studio made"
            raise ParseError(message, source=source, field="PackageInfo.xml")
        return cls(package, PackageInfo.read(package.xml(part)), spool)

    def close(self) -> None:
        """Remove the temporary file; nothing can be extracted any more."""
        if self._spool is not None:
            self._spool.close()

    @property
    def signature(self) -> Part | None:
        """Where the signatures begin, not yet verified; None when the package is not signed."""
        return signature_origin(self.package)

    def check_limits(self, limits: CabinetLimits) -> None:
        """LimitExceeded when unpacking the package, or the drivers in it, would cost more than ``limits``.

        This looks into every part, and so it raises ParseError when one is damaged, and ParseError or VerificationError
        when the parts of a signature do not belong together. The same holds for ``files``, asked for first.
        """
        self._limits = limits
        self.package.zip_package.check_limits(limits)
        total = sum(file.size for file in self.files)
        if len(self.files) > limits.max_files or total > limits.max_total_bytes:
            message = f"the drivers inside are {len(self.files)} files of {total} bytes together"
            allowed = f"at most {limits.max_files} files of {limits.max_total_bytes} bytes are allowed"
            raise LimitExceeded(f"{message}, {allowed}", source=self.source)

    @property
    def drivers(self) -> tuple[DriverSet, ...]:
        """The driver folders found inside."""
        return self._contents.drivers

    @cached_property
    def files(self) -> tuple[HlkxFile, ...]:
        """The files of all drivers, each with its driver folder."""
        return tuple(file for driver in self.drivers for file in driver.files)

    @property
    def findings(self) -> list[Finding]:
        """What is to be told without verifying anything: what is unproven, unreadable, missing, unsigned."""
        found = [UNPROVEN, *self._contents.unreadable]
        if not self.drivers:
            found.append(
                Finding(
                    rule="package.hlkx-no-drivers",
                    level="error",
                    message="No driver was found: there is no .inf file, neither as a part nor in a cabinet or zip "
                    f"file inside. Not understood: {self._opaque_parts()}.",
                    remedy="Add the driver folder in HLK Studio. If it was added, report this message.",
                    file=self.source,
                    inferred=True,
                )
            )
        if self.signature is None:
            found.append(
                Finding(
                    rule="package.unsigned",
                    level="error",
                    message="The HLK package is not signed: it has no signature of the Open Packaging Conventions.",
                    remedy="Sign it in HLK Studio, with a certificate that is registered with the account.",
                    file=self.source,
                )
            )
        return found

    def _opaque_parts(self) -> str:
        """The largest parts that are no file by their names, with their first bytes: what a report should tell."""
        opaque = [part for part in self._candidates() if "." not in posixpath.basename(part.name)]
        opaque.sort(key=lambda part: part.size, reverse=True)
        described = [
            f"{part.name} ({part.size} bytes, beginning {next(self.package.pieces(part), b'')[:16].hex(' ')})"
            for part in opaque[:_LISTED]
        ]
        return ", ".join(described) or "nothing"

    def extract(self) -> Iterator[tuple[HlkxFile, Iterator[bytes]]]:
        """Every driver file with its content in pieces of at most 256 KiB; memory stays flat.

        An iterator of pieces is good until the next file is asked for. ParseError when content is damaged. Call
        ``check_limits`` first.
        """
        for part, file in self._contents.parts:
            yield file, self.package.pieces(part)
        for archive in self._contents.archives:
            for inside, pieces in archive.container.extract() if archive.names else ():
                if (found := archive.names.get(inside.name)) is not None:
                    yield found, pieces

    # --- Where the drivers are

    @cached_property
    def _contents(self) -> _Contents:
        self.package.zip_package.check_limits(self._limits)
        folders = _FolderNames()
        drivers: list[DriverSet] = []
        archives: list[_Archive] = []
        unreadable: list[Finding] = []
        plain: dict[str, Part] = {}
        for part in self._candidates():
            form = _FORMS.get(next(self.package.pieces(part), b"")[:4])
            name = unquote(part.name).removeprefix("/")
            if form is not None:
                stream = self._spooled(part)
                try:
                    archive, found = self._search(part, form, stream, folders)
                except ParseError as problem:
                    unreadable.append(_unreadable(part, form, problem))
                else:
                    archives.append(archive)
                    drivers += found
            elif "." in posixpath.basename(name):
                # What has no file name extension is a stream of test results, as far as is known.
                plain[name] = part
        parts: list[tuple[Part, HlkxFile]] = []
        for folder, place, inside in _driver_sets(list(plain), "package", folders):
            files = {
                name: HlkxFile(f"{folder}/{below}", plain[name].size, plain[name].name)
                for name, below in inside.items()
            }
            drivers.append(DriverSet(folder, "parts", f"/{place}", tuple(files.values())))
            parts += [(plain[name], file) for name, file in files.items()]
        return _Contents(tuple(drivers), tuple(archives), tuple(parts), tuple(unreadable))

    def _search(
        self, part: Part, form: str, stream: BinaryIO, folders: "_FolderNames"
    ) -> tuple[_Archive, list[DriverSet]]:
        """The archive in a part, and the driver folders in it. ParseError when it cannot be read."""
        source = f"{self.source}{part.name}"
        container: PackageContainer = _OPEN[form](stream, source=source)
        sizes = {file.name: file.size for file in container.files}
        if len(sizes) != len(container.files):
            raise ParseError("it holds two files of one name", source=source, field="file name")
        names: dict[str, HlkxFile] = {}
        drivers: list[DriverSet] = []
        for folder, _, inside in _driver_sets(list(sizes), posixpath.basename(unquote(part.name)), folders):
            files = {name: HlkxFile(f"{folder}/{below}", sizes[name], part.name) for name, below in inside.items()}
            drivers.append(DriverSet(folder, form, part.name, tuple(files.values())))
            names |= files
        if drivers:
            container.check_limits(self._limits)
        return _Archive(container, names), drivers

    def _candidates(self) -> Iterator[Part]:
        """The parts that may be or hold a driver's files: not what describes the package."""
        own = {part.name for part in signature_parts(self.package)}
        for part in self.package.parts:
            described = part.name in own or part.name.lower() == PACKAGE_INFO.lower()
            if not described and relationships_source(part.name) is None:
                yield part

    def _spooled(self, part: Part) -> BinaryIO:
        """The content of a part, copied behind what the temporary file holds already."""
        if self._spool is None:
            self._spool = self._new_spool()
        start = self._spool.seek(0, 2)
        for piece in self.package.pieces(part):
            self._spool.write(piece)
        self._spool.flush()
        return io.BufferedReader(_Slice(self._spool, start, part.size), 1 << 16)


class _Slice(io.RawIOBase):
    """A file that is a range of another one."""

    def __init__(self, stream: IO[bytes], start: int, size: int) -> None:
        super().__init__()
        self._stream = stream
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence], 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        self._stream.seek(self._start + self._at)
        with memoryview(buffer) as room:
            piece = self._stream.read(max(min(len(room), self._size - self._at), 0))
            room[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


class _FolderNames:
    """Names for driver folders, no two of them alike to Windows."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._numbers: dict[str, int] = {}

    def new(self, wanted: str) -> str:
        name = wanted
        while name.casefold() in self._given:
            self._numbers[wanted] = number = self._numbers.get(wanted, 1) + 1
            name = f"{wanted}-{number}"
        self._given.add(name.casefold())
        return name


def _driver_sets(
    names: Sequence[str], root_name: str, folders: _FolderNames
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Each driver folder: its new name, its path, and its files (name as it stands -> path below the folder).

    A driver folder is one with an INF in it and none in a folder above; one at the root is called ``root_name``.
    """
    paths = {name: name.replace("\\", "/").lstrip("/") for name in names}
    with_inf = {path.rpartition("/")[0] for path in paths.values() if path.lower().endswith(".inf")}
    found: dict[str, dict[str, str]] = {}
    for name, path in paths.items():
        if (top := _topmost(path, with_inf)) is not None:
            found.setdefault(top, {})[name] = path[len(top) :].lstrip("/")
    for top, inside in found.items():
        yield folders.new(posixpath.basename(top) or root_name), top, inside


def _topmost(path: str, folders: Set[str]) -> str | None:
    """The first of the folders that ``path`` goes through, the root ("") included, that is one of ``folders``."""
    at = ""
    for below in path.split("/", _MAX_DEPTH):
        if at in folders:
            return at
        at = f"{at}/{below}" if at else below
    return None


def _unreadable(part: Part, form: str, problem: ParseError) -> Finding:
    return Finding(
        rule="package.hlkx-part-unreadable",
        level="warning",
        message=f"The part begins like a {form} and cannot be read ({problem.message}): drivers in it are not seen.",
        remedy="Nothing, when it holds no driver; otherwise report how it was made.",
        file=part.name,
        inferred=True,
    )


def verify_hlkx(hlkx: Hlkx, *, source: str, accept_sha1: bool = False) -> Signature:
    """Check the signatures of a package: all must hold and cover every part. Call ``check_limits`` first.

    Of several signatures the first, in the order of the origin's relationships, names the signer. HLK Studio signs with
    SHA-1 unless it is told otherwise; as in cabinets that is refused, unless ``accept_sha1``. VerificationError says
    why the signature does not hold; ParseError and LimitExceeded as when reading.
    """
    signatures = verify_signatures(hlkx.package)
    if not accept_sha1 and any("sha1" in each.algorithms for each in signatures):
        message = "the signature uses SHA-1: SHA-2 is required (HLK Studio: hlk.exe sign --digest-alg)"
        raise VerificationError(message, source=source)
    first = signatures[0]
    return Signature(first.signer, first.certificates, first.digest_algorithm, first.digest, program_name=None)
