"""Rules on the directories that files are copied to (install/using-dirids.md, inf-destinationdirs-section.md)."""

import re
from collections.abc import Iterator

from hwdash.drivers.inf.files import destination
from hwdash.drivers.inf.verify.inspection import Copy, Inspection, Problem, number

_DRIVER_STORE = 13
_PRINTER = range(66000, 66005)
_FOLDERS = range(16384, 32768)
_NAMED = frozenset({-1, 1, 10, 11, 12, 13, 17, 18, 20, 21, 23, 24, 25, 30, 50, 51, 52, 53, 54, 55, 65535})
_LAST_CSIDL = 0x3D
_RETIRED = frozenset(
    {1, 17, 18, 20, 21, 24, 25, 30, 50, 53, 54, -1, 16406, 16407, 16408, 16409, 16415, 16419, 16429, 16430}
)
_IN_PATH = re.compile(r"%(-?[0-9]{1,5})%")
_BY_WHAT_IS_THERE = 0x10 | 0x400  # COPYFLG_NO_OVERWRITE, COPYFLG_REPLACEONLY


def inf_1101_dirid_no_security(case: Inspection) -> Iterator[Problem]:
    """Files of the driver store have the driver store's security."""
    for name in _lists_of_driver_store(case):
        section = case.inf.section(f"{name}.security")
        if section is not None:
            message = f"[{section.name}] gives a security descriptor to files in DIRID 13, the driver store."
            yield Problem(section.line, message, "Remove the section.")


def inf_1102_dirid_no_directive(case: Inspection) -> Iterator[Problem]:
    """Nothing is deleted or renamed in the driver store."""
    for placed in case.outline.directives:
        if placed.syntax is not None and placed.syntax.name in ("DelFiles", "RenFiles"):
            for name in placed.values:
                place = destination(case.inf, name) if name else None
                if place is not None and place.dirid == _DRIVER_STORE:
                    message = f"{placed.syntax.name} applies [{name}] to DIRID 13, the driver store."
                    yield Problem(placed.entry.line, message, "Remove the directive: driver packages stay whole.")


def inf_1103_dirid_no_flag(case: Inspection) -> Iterator[Problem]:
    """Whether a file comes into the driver store does not depend on what is there."""
    for name in _lists_of_driver_store(case):
        for entry in case.inf.entries(name):
            flags = (number(case.inf.substitute(entry.value(3))) or 0) & _BY_WHAT_IS_THERE
            if flags and entry.key is None:
                message = f"{entry.value(0)} is copied to DIRID 13, the driver store, with the flag {flags:#x}."
                yield Problem(entry.line, message, "Take out the flag.")


def inf_1241_dirid_user_defined(case: Inspection) -> Iterator[Problem]:
    """A directory that a program defines is not known before it runs."""
    for copy, _, dirid in _copies(case):
        if dirid is not None and dirid >= 32768 and dirid != 65535 and dirid not in _PRINTER:
            yield _problem(copy, f"DIRID {dirid}, which only a program can define")


def inf_1242_dirid_unresolvable(case: Inspection) -> Iterator[Problem]:
    """A directory of the shell must be one that the shell has."""
    for copy, _, dirid in _copies(case):
        if dirid is not None and dirid in _FOLDERS and dirid - _FOLDERS.start > _LAST_CSIDL:
            yield _problem(copy, f"DIRID {dirid}, and the shell has no folder of that number")


def inf_1243_dirid_invalid(case: Inspection) -> Iterator[Problem]:
    """A directory is given by a number that Windows knows."""
    for copy, text, dirid in _copies(case):
        if dirid is None:
            yield _problem(copy, f"{text!r}, which is not the number of a directory")
        elif dirid < _FOLDERS.start and dirid not in _NAMED:
            yield _problem(copy, f"DIRID {dirid}, which Windows does not have")


def inf_1340_dirid_retired(case: Inspection) -> Iterator[Problem]:
    """Files do not go where Windows no longer lets drivers write."""
    for copy, _, dirid in _copies(case):
        if dirid in _RETIRED and copy.install.serves_isolated:
            yield _problem(copy, f"DIRID {dirid}, which was retired with Windows 11 24H2")


def inf_1341_dirid_retired_2(case: Inspection) -> Iterator[Problem]:
    """Paths do not begin where Windows no longer lets drivers write."""
    strings = case.inf.strings()
    for directive in case.directives:
        if not directive.is_isolated:
            continue
        for field in directive.entry.values:
            for dirid in _IN_PATH.findall(field.text) if "%" in field.text else ():
                if dirid not in strings and int(dirid) in _RETIRED:
                    message = f"{directive.entry.key} has a path below %{dirid}%, retired with Windows 11 24H2."
                    yield Problem(field.line, message, r"Give the path below %13%.")


def _problem(copy: Copy, where: str) -> Problem:
    line = copy.destination.line if copy.destination is not None else None
    what = f"[{copy.file.file_list}]" if copy.file.file_list is not None else "DefaultDestDir"
    message = f"{copy.file.source}, by {what} in [DestinationDirs], goes to {where}."
    return Problem(line, message, "Use DIRID 13, the driver store.")


def _copies(case: Inspection) -> Iterator[tuple[Copy, str, int | None]]:
    """The first file for each line of [DestinationDirs], with what that line gives as directory and as what number."""
    seen = set()
    for copy in case.copies:
        if copy.destination is not None:
            place = (copy.destination.line, copy.install.serves_isolated)
            if place not in seen:
                seen.add(place)
                name = copy.file.file_list or ""
                entry = case.inf.first("DestinationDirs", name) or case.inf.first("DestinationDirs", "DefaultDestDir")
                text = case.inf.substitute(entry.value(0)) if entry is not None else ""
                yield copy, text, number(text) if text else None


def _lists_of_driver_store(case: Inspection) -> Iterator[str]:
    """The lists of files that CopyFiles directives copy to DIRID 13, each once."""
    names = {
        reference.target.lower(): reference.target
        for reference in case.outline.references
        if reference.directive == "CopyFiles"
    }
    for name in names.values():
        place = destination(case.inf, name)
        if place is not None and place.dirid == _DRIVER_STORE:
            yield name


RULES = {
    1101: inf_1101_dirid_no_security,
    1102: inf_1102_dirid_no_directive,
    1103: inf_1103_dirid_no_flag,
    1241: inf_1241_dirid_user_defined,
    1242: inf_1242_dirid_unresolvable,
    1243: inf_1243_dirid_invalid,
    1340: inf_1340_dirid_retired,
    1341: inf_1341_dirid_retired_2,
}
