"""Which files an INF copies, from where in the package and to where on the machine.

Sources: install/inf-copyfiles-directive.md, inf-sourcedisksfiles-section.md, inf-sourcedisksnames-section.md,
inf-destinationdirs-section.md, inf-copyinf-directive.md.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.lexer import Entry
from hwdash.vocabulary import Architecture

_DIRID = re.compile(r"%?(-?\d{1,10})%?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A line of [SourceDisksFiles]. ``path`` is relative to the INF, with slashes; when the disk is a cabinet of its
    own, ``cabinet`` is the path of that instead, and the file lies inside it. ``disk_listed`` is False when
    [SourceDisksNames] lacks the disk id.
    """

    name: str
    disk: str
    path: str
    cabinet: str | None
    disk_listed: bool
    line: int


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file that a CopyFiles directive copies. ``file_list`` is the section that says so; None for ``@name``.

    ``source`` is the file's name in the package, ``destination`` its name on the machine; ``line`` is where the file
    is named. ``flags`` are as written, ``""`` when there are none.
    """

    source: str
    destination: str
    file_list: str | None
    line: int
    flags: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where [DestinationDirs] sends a list of files: ``dirid`` is None when it is not a number."""

    dirid: int | None
    subfolder: str
    line: int


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A file with where it comes from and where it goes.

    ``source`` is its path in the package, ``cabinet`` the cabinet that it lies in, if any. It becomes ``name`` in
    ``subfolder`` of the directory ``dirid``; None: [DestinationDirs] names none. ``line`` is where
    the file is named.
    """

    source: str
    cabinet: str | None
    dirid: int | None
    subfolder: str
    name: str
    line: int

    @property
    def destination(self) -> str:
        """As INFs write it, ``%13%\\subfolder\\name``."""
        parts = [part for part in (self.subfolder.strip("\\/"), self.name) if part]
        return "\\".join(parts if self.dirid is None else [f"%{self.dirid}%", *parts])


def installed_files(
    inf: Inf, directives: Iterable[Entry], architecture: Architecture | None
) -> Iterator[InstalledFile]:
    """The files of CopyFiles directives, with source and destination. A file that [SourceDisksFiles] does not list lies
    beside the INF.
    """
    for file in copied_files(inf, directives):
        listed = source_file(inf, file.source, architecture)
        place = destination(inf, file.file_list)
        yield InstalledFile(
            source=listed.path if listed else file.source,
            cabinet=listed.cabinet if listed else None,
            dirid=place.dirid if place else None,
            subfolder=place.subfolder if place else "",
            name=file.destination,
            line=file.line,
        )


def source_file(inf: Inf, name: str, architecture: Architecture | None) -> SourceFile | None:
    """The line of [SourceDisksFiles.arch], or else of [SourceDisksFiles], for a file name; None when there is none."""
    for section in _decorated("SourceDisksFiles", architecture):
        entry = inf.first(section, name)
        if entry is not None:
            return _source_file(inf, entry, architecture)
    return None


def source_files(inf: Inf, architecture: Architecture | None) -> Iterator[SourceFile]:
    """Every file that [SourceDisksFiles] and [SourceDisksFiles.arch] list; the latter's lines come first and win."""
    seen = set()
    for section in _decorated("SourceDisksFiles", architecture):
        for entry in inf.entries(section):
            file = _source_file(inf, entry, architecture)
            if file.name.lower() not in seen:
                seen.add(file.name.lower())
                yield file


def copied_files(inf: Inf, directives: Iterable[Entry], read: set[str] | None = None) -> Iterator[CopiedFile]:
    """The files of CopyFiles directives. A list that several of them name counts once, one that is not in this INF
    yields nothing. ``read`` holds the lower-case names of lists that were read before, and takes up the new ones.
    """
    seen = set() if read is None else read
    for directive in directives:
        for target in inf.values(directive):
            if target.startswith("@"):
                yield CopiedFile(target[1:], target[1:], None, directive.line)
            elif target.lower() not in seen:
                seen.add(target.lower())
                for entry in inf.entries(target):
                    destination, source, _, flags, *_ = [*inf.values(entry), "", "", ""]
                    if entry.key is None and destination:
                        yield CopiedFile(source or destination, destination, target, entry.line, flags)


def copyfiles_directives(inf: Inf) -> Iterator[Entry]:
    """Every CopyFiles directive of the INF, whatever section it stands in."""
    for section in inf.sections:
        for entry in section.entries:
            if entry.key is not None and entry.key.lower() == "copyfiles":
                yield entry


def destination(inf: Inf, file_list: str | None) -> Destination | None:
    """Where a list of files goes: its own line of [DestinationDirs], or DefaultDestDir, which also serves ``@name``."""
    entry = inf.first("DestinationDirs", file_list) if file_list is not None else None
    entry = entry or inf.first("DestinationDirs", "DefaultDestDir")
    if entry is None:
        return None
    dirid, subfolder, *_ = [*inf.values(entry), ""]
    match = _DIRID.match(dirid)
    return Destination(int(match[1]) if match else None, subfolder, entry.line)


def _decorated(section: str, architecture: Architecture | None) -> tuple[str, ...]:
    return (section,) if architecture is None else (f"{section}.{architecture}", section)


def _source_file(inf: Inf, entry: Entry, architecture: Architecture | None) -> SourceFile:
    disk, subfolder, *_ = [*inf.values(entry), "", ""]
    listed = next(
        (
            found
            for section in _decorated("SourceDisksNames", architecture)
            if (found := inf.first(section, disk)) is not None
        ),
        None,
    )
    _, tag, _, folder, *_ = [*(inf.values(listed) if listed is not None else []), "", "", "", ""]
    name = inf.substitute(entry.name or entry.value(0))
    return SourceFile(
        name=name,
        disk=disk,
        path=_joined(folder, subfolder, name),
        cabinet=_joined(folder, tag) if tag.lower().endswith(".cab") else None,
        disk_listed=listed is not None,
        line=entry.line,
    )


def _joined(*parts: str) -> str:
    """The parts as one relative path with slashes; ``.`` and empty components fall away."""
    components = "/".join(parts).replace("\\", "/").split("/")
    return "/".join(part for part in components if part not in ("", "."))
