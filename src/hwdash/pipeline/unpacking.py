"""Files out of their container, into the workspace, and what is measured of each on the way.

In the service this runs in the bounded child process only, as all of pipeline/inspection.py does.
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from hwdash.drivers.container import PackageContainer
from hwdash.drivers.errors import DriversError
from hwdash.drivers.findings import Finding
from hwdash.drivers.package_contents import Binary
from hwdash.drivers.pe import PeImage, measure
from hwdash.drivers.pe_imports import ImportedModule, imported_modules
from hwdash.drivers.pe_resources import file_version, is_elam
from hwdash.drivers.pe_sections import MACHINES, MappedImage
from hwdash.drivers.universal import BinaryImports

# Files that Windows loads as code: one of these that is not a sound PE file is an error, any other file may hold what
# it likes.
PE_SUFFIXES = (".sys", ".dll", ".exe", ".ocx", ".cpl", ".efi", ".drv")
WRITE_BATCH = 1 << 20
READ_BATCH = 1 << 18
# Files that wait to be measured while the next ones are unpacked.
MEASURES_AHEAD = 64


class Measured(NamedTuple):
    """One unpacked file. ``facts``: {"path", "stored", "size", "sha1", "sha256", "layout"}; of a PE file the digests
    are Authenticode's.
    """

    facts: dict[str, Any]
    findings: list[Finding]
    binary: Binary | None = None
    imports: BinaryImports | None = None


def unpack(container: PackageContainer, folder: Path) -> Iterator[Measured]:
    """Write every file of the package, and measure it beside: both spend their time outside of Python's lock."""
    pending: deque[Future[Measured]] = deque()
    with ThreadPoolExecutor(1) as beside:
        for number, (file, pieces) in enumerate(container.extract()):
            stored = f"{number:06}"
            with (folder / stored).open("wb", buffering=WRITE_BATCH) as out:
                out.writelines(pieces)
            pending.append(beside.submit(_measure, folder, stored, file.name.replace("\\", "/")))
            if len(pending) > MEASURES_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _measure(folder: Path, stored: str, path: str) -> Measured:
    with (folder / stored).open("rb") as stream:
        facts: dict[str, Any] = {"path": path, "stored": stored, "size": os.fstat(stream.fileno()).st_size}
        why = "it does not begin with MZ"
        if stream.read(2) == b"MZ":
            try:
                image = PeImage.open(stream, source=path)
                found = measure(stream, image)
            except DriversError as problem:
                why = getattr(problem, "message", str(problem))
            else:
                digests = {name: digest.hex() for name, digest in found.digests.items()}
                return _read_binary(stream, image, facts | digests | {"layout": found.layout.to_json()})
        sha1, sha256 = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
        stream.seek(0)
        while chunk := stream.read(READ_BATCH):
            sha1.update(chunk)
            sha256.update(chunk)
    facts |= {"sha1": sha1.hexdigest(), "sha256": sha256.hexdigest(), "layout": None}
    return Measured(facts, [_not_pe(path, why)] if path.lower().endswith(PE_SUFFIXES) else [])


def _read_binary(stream: BinaryIO, image: PeImage, facts: dict[str, Any]) -> Measured:
    """What Windows reads of a loaded image. A part that is malformed is left out, and told once."""
    path = facts["path"]
    mapped = MappedImage(stream, image, source=path)
    broken: list[DriversError] = []

    def read(part: Any, otherwise: Any) -> Any:
        try:
            return part(mapped)
        except DriversError as problem:
            broken.append(problem)
            return otherwise

    modules: list[ImportedModule] | None = read(imported_modules, None)
    linked = read(MappedImage.linked, None)
    binary = Binary(
        path=path,
        has_code=mapped.has_code,
        version=read(file_version, None),
        is_elam=read(is_elam, False),
        linked=linked.date() if linked is not None else None,
    )
    findings = [_damaged_tables(path, broken[0])] if broken else []
    if modules is None:
        return Measured(facts, findings, binary)
    machine = MACHINES.get(image.machine, f"{image.machine:#x}")
    return Measured(facts, findings, binary, BinaryImports(path, machine, tuple(modules)))


def _damaged_tables(path: str, problem: DriversError) -> Finding:
    return Finding(
        rule="package.pe-tables",
        level="warning",
        message=f"Imports or resources of the file cannot be read: {getattr(problem, 'message', problem)}.",
        remedy="Put the linker's output into the package, unchanged.",
        file=path,
    )


def _not_pe(path: str, why: str) -> Finding:
    return Finding(
        rule="package.not-a-pe-file",
        level="error",
        message=f"The file is named like an executable but is not a sound PE file: {why}.",
        remedy="Put the linker's output into the package, unchanged.",
        file=path,
    )
