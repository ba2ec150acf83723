"""Rules on files: which are copied, from where and to where (install/inf-copyfiles-directive.md, using-dirids.md)."""

import re
from collections import defaultdict
from collections.abc import Iterator

from hwdash.drivers.inf.files import CopiedFile, copied_files, destination, source_file
from hwdash.drivers.inf.models import TargetOS
from hwdash.drivers.inf.verify.inspection import Copy, Inspection, Problem, number

_TARGETS_JUDGED_SINCE = 2024
_DRIVER_STORE = 13
_OUTSIDE_SYSTEM = frozenset({1, 17, 18, 20, 21, 24, 25, 30, 50, 53, 54, -1, 16422, 16426, 16427, 16428})
_COMPRESSED = re.compile(r"\.[^.]{2}_\Z")
_NOT_IN_PATH = re.compile(r'[<>"|?*\x00-\x1f]|:')
_NOT_IN_BINARY = re.compile(r"[<>|?*/]")
_BINARY = re.compile(r"(?P<directory>%-?[0-9]+%\\)(?P<name>.*?\.(?:sys|exe|dll))(?:\"|\s|\Z)", re.IGNORECASE)
_TAKING_FILES = frozenset({"CopyFiles", "DelFiles"})

MAX_COMPARED = 200_000
"""Copied files that are compared for conflicts: what an INF has beyond them is not."""


def inf_1008_bad_disk_id(case: Inspection) -> Iterator[Problem]:
    """A source file names its disk by a number."""
    for section in case.inf.sections:
        if section.name.lower().partition(".")[0] == "sourcedisksfiles":
            for entry in section.entries:
                disk = case.inf.substitute(entry.value(0)) if entry.key is not None else ""
                if not disk or number(disk) is None:
                    name = case.inf.substitute(entry.key if entry.key is not None else entry.value(0))
                    message = f"{name} in [{section.name}] has the disk id {disk!r}, which is not a number."
                    yield Problem(
                        entry.line, message, f"Write {name or 'FILE'} = 1, and disk 1 into [SourceDisksNames]."
                    )


def inf_1015_bad_path(case: Inspection) -> Iterator[Problem]:
    """Paths stay in the package and have no characters that paths cannot have."""
    for section in case.inf.sections:
        index = _FOLDER_FIELD.get(section.name.lower().partition(".")[0])
        for entry in section.entries if index is not None else ():
            folder = case.inf.substitute(entry.value(index or 0))
            if folder and (".." in folder.replace("\\", "/").split("/") or _NOT_IN_PATH.search(folder)):
                message = f"The folder {folder!r} in [{section.name}] is not one of the package."
                yield Problem(entry.line, message, "Write a path relative to the INF, without '..' and drive.")
    for placed in case.outline.directives:
        if placed.kind.name == "service" and placed.syntax is not None and placed.syntax.name == "ServiceBinary":
            match = _BINARY.search(placed.values[0])
            if match is not None and _NOT_IN_BINARY.search(match["name"]):
                message = f"The ServiceBinary {placed.values[0]!r} in [{placed.section.name}] is not a path."
                yield Problem(placed.entry.line, message, r"Write %13%\NAME.sys, with backslashes.")


def inf_1016_source_path_unresolved(case: Inspection) -> Iterator[Problem]:
    """A file that is copied must be in the package where the INF says that it is."""
    if case.files is None:
        return
    for copy in case.copies:
        listed = source_file(case.inf, copy.file.source, copy.install.architecture)
        path = (listed.cabinet or listed.path).lower() if listed is not None else None
        if path is not None and listed is not None and not {path, path[:-1] + "_"} & case.files:
            message = (
                f"{copy.file.source} is to be found as {listed.cabinet or listed.path}, which is not in the package."
            )
            yield Problem(listed.line, message, "Add the file, or correct its folder in [SourceDisksFiles].")


def inf_1078_entry_not_valid_here(case: Inspection) -> Iterator[Problem]:
    """Only CopyFiles and DelFiles take a file name instead of a section."""
    for placed in case.outline.directives:
        if placed.syntax is None or placed.syntax.name in _TAKING_FILES:
            continue
        for index, value in enumerate(placed.values):
            field = placed.syntax.field(index)
            if value.startswith("@") and field is not None and field.type == "section":
                message = (
                    f"{placed.entry.key} in [{placed.section.name}] names the file {value}; it takes sections only."
                )
                yield Problem(placed.entry.line, message, "Name a section.")


def inf_1100_dirid13_path_differs(case: Inspection) -> Iterator[Problem]:
    """A file of the driver store keeps its name."""
    for copy in case.copies:
        file = copy.file
        if _dirid(copy) == _DRIVER_STORE and file.source.lower() != file.destination.lower():
            message = f"{file.source} is copied as {file.destination} into the driver store."
            yield Problem(file.line, message, "Give the file its final name in the package.")


def inf_1110_copyinf_not_inf(case: Inspection) -> Iterator[Problem]:
    """CopyINF copies INF files."""
    for directive in case.directives:
        if directive.key == "copyinf":
            for name in case.inf.values(directive.entry):
                if name and not name.lower().endswith(".inf"):
                    message = f"CopyINF names {name}, which is not an INF."
                    yield Problem(directive.entry.line, message, "Copy other files with CopyFiles.")


def inf_1199_syntax_newer_than_target(case: Inspection) -> Iterator[Problem]:
    """Windows copies into the driver store (DIRID 13) since 10.0.16299: older systems must not get the section.

    InfVerif asks for it since early 2024; Microsoft's catalogs call INFs declarative that were dated before and do it.
    """
    stamp = case.inf.version.driver_ver
    if stamp is not None and stamp.date is not None and stamp.date.year < _TARGETS_JUDGED_SINCE:
        return
    for copy in case.copies:
        if copy.install.is_device and copy.install.serves_older and _dirid(copy) == _DRIVER_STORE:
            message = (
                f"[{copy.install.section}] copies {copy.file.destination} to DIRID 13, which Windows knows since "
                "10.0.16299; the section serves older systems too."
            )
            remedy = "Decorate the Models section with NTarch.10.0...16299 or a later build."
            yield Problem(copy.file.line, message, remedy)


def inf_1229_file_name_missing(case: Inspection) -> Iterator[Problem]:
    """A line of a list of files names a file; to rename takes two."""
    needed = {
        (reference.target.lower(), 2 if reference.directive == "RenFiles" else 1): reference
        for reference in case.outline.references
        if reference.kind == "files"
    }
    for (name, count), reference in needed.items():
        for entry in case.inf.entries(name):
            if entry.key is None and not all(entry.value(index) for index in range(count)):
                message = f"A line of [{reference.target}], by {reference.directive}, lacks a file name."
                yield Problem(entry.line, message, "Write the name of the file at the destination first.")
    for placed in case.outline.directives:
        if placed.syntax is not None and placed.syntax.name in _TAKING_FILES and "@" in placed.values:
            message = f"{placed.entry.key} in [{placed.section.name}] has an @ without a file name."
            yield Problem(placed.entry.line, message, "Write @NAME, or name a section.")


def inf_1230_file_not_in_sourcedisksfiles(case: Inspection) -> Iterator[Problem]:
    """A file that is copied must be listed as a source file for the architecture."""
    if case.inf.first("Version", "LayoutFile") is not None:
        return
    for copy in case.copies:
        architecture = copy.install.architecture
        if copy.is_complete and source_file(case.inf, copy.file.source, architecture) is None:
            place = "[SourceDisksFiles]"
            if architecture is not None:
                place += f" or [SourceDisksFiles.{architecture}]"
            message = f"{copy.file.source} is copied by [{copy.install.section}] and not listed in {place}."
            yield Problem(copy.file.line, message, f"Add {copy.file.source} = disk id.")


def inf_1231_compressed_name_listed(case: Inspection) -> Iterator[Problem]:
    """Source files are listed by the names they have when expanded."""
    for section in case.inf.sections:
        if section.name.lower().partition(".")[0] == "sourcedisksfiles":
            for entry in section.entries:
                name = case.inf.substitute(entry.name)
                if _COMPRESSED.search(name):
                    message = f"[{section.name}] lists the compressed name {name}."
                    yield Problem(entry.line, message, "List the name that the file has when expanded.")


def inf_1273_disk_id_not_listed(case: Inspection) -> Iterator[Problem]:
    """The disk of a file that is copied must be listed in [SourceDisksNames]."""
    if case.inf.first("Version", "LayoutFile") is not None:
        return
    for copy in case.copies:
        listed = source_file(case.inf, copy.file.source, copy.install.architecture)
        if listed is not None and not listed.disk_listed and listed.disk and number(listed.disk) is not None:
            message = f"{listed.name} is on disk {listed.disk!r}, which [SourceDisksNames] does not list."
            yield Problem(listed.line, message, f'Add {listed.disk} = "disk name" there.')


def inf_1275_no_destination(case: Inspection) -> Iterator[Problem]:
    """A list of files needs a destination, its own or the default one."""
    named = set()
    for copy in case.copies:
        file = copy.file
        if copy.destination is None and file.file_list not in named:
            what = f"@{file.source}"
            if file.file_list is not None:
                named.add(file.file_list)
                what = f"[{file.file_list}]"
            message = f"[DestinationDirs] has no line for {what} and no DefaultDestDir."
            yield Problem(file.line, message, "Add one of them: DefaultDestDir = 13 for example.")


def inf_1306_copy_outside_system(case: Inspection) -> Iterator[Problem]:
    """Files go to system directories only."""
    for copy in case.copies:
        if _dirid(copy) in _OUTSIDE_SYSTEM:
            message = f"{copy.file.destination} is copied to DIRID {_dirid(copy)}, outside the system directories."
            yield Problem(copy.file.line, message, "Copy to DIRID 13 and use the file from there.")


def inf_1322_file_not_isolated(case: Inspection) -> Iterator[Problem]:
    """A file of a Windows driver stays in the driver store."""
    for copy in case.copies:
        if copy.install.serves_isolated and copy.destination is not None and _dirid(copy) != _DRIVER_STORE:
            message = f"{copy.file.destination} is copied to DIRID {_dirid(copy)}, not to 13, the driver store."
            yield Problem(copy.file.line, message, r"Copy to DIRID 13 and refer to the file as %13%\NAME.")


def inf_1330_copy_conflict(case: Inspection) -> Iterator[Problem]:
    """One destination has one source, in all install sections that one system may use."""
    left = MAX_COMPARED
    for sections in _used_together(case).values():
        sources: dict[tuple[int | None, str, str], CopiedFile] = {}
        read: set[str] = set()
        for name in sections:
            for file in copied_files(case.inf, case.inf.entries(name, "CopyFiles"), read):
                left -= 1
                if left < 0:
                    return
                place = destination(case.inf, file.file_list)
                if place is None or place.dirid == _DRIVER_STORE:
                    continue
                first = sources.setdefault((place.dirid, place.subfolder.lower(), file.destination.lower()), file)
                if not _is_same(first.source, file.source):
                    message = (
                        f"{file.destination} is copied from {first.source}, line {first.line}, and from {file.source}."
                    )
                    yield Problem(file.line, message, "Give the files names of their own, and tell the driver which.")


def _used_together(case: Inspection) -> dict[TargetOS, dict[str, None]]:
    """The device install sections that Models sections of one decoration name: one system uses all of them."""
    found: dict[TargetOS, dict[str, None]] = defaultdict(dict)
    for listed in case.devices:
        if listed.install is not None:
            found[listed.target][listed.install.section] = None
    return found


def _is_same(one: str, other: str) -> bool:
    """The names are those of one file; a compressed file ends in an underscore."""
    if one.endswith("_") or other.endswith("_"):
        one, other = one[:-1], other[:-1]
    return one.lower() == other.lower()


def _dirid(copy: Copy) -> int | None:
    return copy.destination.dirid if copy.destination is not None else None


_FOLDER_FIELD = {"sourcedisksfiles": 1, "sourcedisksnames": 3}


RULES = {
    1008: inf_1008_bad_disk_id,
    1015: inf_1015_bad_path,
    1016: inf_1016_source_path_unresolved,
    1078: inf_1078_entry_not_valid_here,
    1100: inf_1100_dirid13_path_differs,
    1110: inf_1110_copyinf_not_inf,
    1199: inf_1199_syntax_newer_than_target,
    1229: inf_1229_file_name_missing,
    1230: inf_1230_file_not_in_sourcedisksfiles,
    1231: inf_1231_compressed_name_listed,
    1273: inf_1273_disk_id_not_listed,
    1275: inf_1275_no_destination,
    1306: inf_1306_copy_outside_system,
    1322: inf_1322_file_not_isolated,
    1330: inf_1330_copy_conflict,
}
