"""Rules on files: which are copied, from where and to where (install/inf-copyfiles-directive.md, using-dirids.md)."""

import re
from collections.abc import Iterator

from hwdash.drivers.inf.files import source_file
from hwdash.drivers.inf.verify.inspection import Copy, Inspection, Problem

_DRIVER_STORE = 13
_OUTSIDE_SYSTEM = frozenset({1, 17, 18, 20, 21, 24, 25, 30, 50, 53, 54, -1, 16422, 16426, 16427, 16428})
_COMPRESSED = re.compile(r"\.[^.]{2}_\Z")
_REMOVING = frozenset({"delreg", "delfiles", "delservice", "delproperty"})


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
    """Windows copies into the driver store (DIRID 13) since 10.0.16299: older systems must not get the section."""
    for copy in case.copies:
        if copy.install.is_device and copy.install.serves_older and _dirid(copy) == _DRIVER_STORE:
            message = (
                f"[{copy.install.section}] copies {copy.file.destination} to DIRID 13, which Windows knows since "
                "10.0.16299; the section serves older systems too."
            )
            remedy = "Decorate the Models section with NTarch.10.0...16299 or a later build."
            yield Problem(copy.file.line, message, remedy)


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
        if listed is not None and not listed.disk_listed:
            message = f"{listed.name} is on disk {listed.disk!r}, which [SourceDisksNames] does not list."
            yield Problem(listed.line, message, f'Add {listed.disk or 1} = "disk name" there.')


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


def inf_1308_non_additive_operation(case: Inspection) -> Iterator[Problem]:
    """An INF adds; what it does not add it must not remove."""
    for directive in case.directives:
        if directive.key in _REMOVING:
            entry = directive.entry
            yield Problem(entry.line, f"{entry.key} removes something.", "Leave it out: an INF only adds.")


def inf_1322_file_not_isolated(case: Inspection) -> Iterator[Problem]:
    """A file of a Windows driver stays in the driver store."""
    for copy in case.copies:
        if copy.install.serves_isolated and copy.destination is not None and _dirid(copy) != _DRIVER_STORE:
            message = f"{copy.file.destination} is copied to DIRID {_dirid(copy)}, not to 13, the driver store."
            yield Problem(copy.file.line, message, r"Copy to DIRID 13 and refer to the file as %13%\NAME.")


def _dirid(copy: Copy) -> int | None:
    return copy.destination.dirid if copy.destination is not None else None


RULES = {
    1100: inf_1100_dirid13_path_differs,
    1110: inf_1110_copyinf_not_inf,
    1199: inf_1199_syntax_newer_than_target,
    1230: inf_1230_file_not_in_sourcedisksfiles,
    1231: inf_1231_compressed_name_listed,
    1273: inf_1273_disk_id_not_listed,
    1275: inf_1275_no_destination,
    1306: inf_1306_copy_outside_system,
    1308: inf_1308_non_additive_operation,
    1322: inf_1322_file_not_isolated,
}
