"""Rules on sections and directives that Windows has given up (develop/dch-principles-best-practices.md).

Which of the codes 1300 to 1309 a directive gets is not documented; the generic texts of the codes decide here.
"""

from collections.abc import Iterator

from hwdash.drivers.inf.verify.inspection import Inspection, Problem
from hwdash.drivers.inf.verify.outline import Placed

_OPERATIONS = frozenset({"ini2reg", "profileitems", "updateinis", "updateinifields"})
_REGISTRATIONS = frozenset({"registerdlls", "unregisterdlls"})
_REMOVALS = frozenset({"delreg", "delproperty"})
_FILE_REMOVALS = frozenset({"delfiles", "renfiles"})


def inf_1208_directive_inbox_only(case: Inspection) -> Iterator[Problem]:
    """LayoutFile is for the INFs of Windows, which list no source files of their own."""
    for entry in case.inf.entries("Version", "LayoutFile"):
        yield Problem(
            entry.line,
            "[Version] has a LayoutFile, which only INFs of Windows may have.",
            "Remove it; list the files in [SourceDisksFiles] and their disks in [SourceDisksNames].",
        )


def inf_1300_legacy_item(case: Inspection) -> Iterator[Problem]:
    """Resources are no longer configured by INFs."""
    for placed in _of(case, frozenset({"logconfig"})):
        message = f"LogConfig in [{placed.section.name}] configures resources of a legacy device."
        yield Problem(placed.entry.line, message, "Remove it; the bus driver reports the resources.")
    for kind, section in case.outline.sections:
        if kind.name == "FactDef" and section.entries:
            message = f"[{section.name}] gives factory defaults of a legacy device."
            yield Problem(section.line, message, "Remove the section; the bus driver reports the resources.")


def inf_1301_legacy_operation(case: Inspection) -> Iterator[Problem]:
    """INFs no longer write INI files and start menus."""
    for placed in _of(case, _OPERATIONS):
        message = f"{placed.entry.key} in [{placed.section.name}] is an operation of old systems."
        yield Problem(placed.entry.line, message, "Remove it; write settings below HKR, and shortcuts by an app.")


def inf_1302_legacy_operation_on(case: Inspection) -> Iterator[Problem]:
    """INFs no longer run code to register a file."""
    read: set[str] = set()
    for placed in _of(case, _REGISTRATIONS):
        for name in _unread(placed, read):
            for entry in case.inf.entries(name):
                file = case.inf.substitute(entry.value(2))
                if entry.key is None and file:
                    message = f"{placed.entry.key} runs code of {file}."
                    yield Problem(entry.line, message, "Register COM classes with AddComServer or AddReg.")


def inf_1307_legacy_desktop_item(case: Inspection) -> Iterator[Problem]:
    """Bits of a value in the registry are changed on desktop editions only."""
    for placed in _of(case, frozenset({"bitreg"})):
        message = f"BitReg in [{placed.section.name}] changes bits that another INF may have set."
        yield Problem(placed.entry.line, message, "Write the value as a whole with AddReg.")


def inf_1308_non_additive_operation(case: Inspection) -> Iterator[Problem]:
    """An INF adds; what it does not add it must not remove."""
    for placed in _of(case, _REMOVALS):
        message = f"{placed.entry.key} in [{placed.section.name}] removes something."
        yield Problem(placed.entry.line, message, "Leave it out: an INF only adds.")


def inf_1309_non_additive_operation_on(case: Inspection) -> Iterator[Problem]:
    """An INF removes and renames no file and no service."""
    read: set[str] = set()
    for placed in case.outline.directives:
        key = placed.syntax.name.lower() if placed.syntax is not None else ""
        if key == "delservice" and placed.values[0]:
            message = f"DelService removes the service {placed.values[0]}."
            yield Problem(placed.entry.line, message, "Leave it out: Windows removes a driver's services with it.")
        elif key in _FILE_REMOVALS:
            for line, file in _files(case, placed, read):
                message = f"{placed.entry.key} in [{placed.section.name}] removes or renames {file}."
                yield Problem(line, message, "Leave it out: Windows removes a driver's files with it.")


def inf_2004_directive_discouraged(case: Inspection) -> Iterator[Problem]:
    """Windows finds out by itself whether it must be restarted."""
    for install in case.device_installs:
        for entry in case.inf.entries(install.section, "Reboot"):
            message = f"[{install.section}] asks for a restart with Reboot."
            yield Problem(entry.line, message, "Remove it unless a restart is needed for a reason Windows cannot see.")


def inf_2009_legacy_directive_ignored(case: Inspection) -> Iterator[Problem]:
    """LogConfig has no effect on Plug and Play devices."""
    for placed in _of(case, frozenset({"logconfig"})):
        message = f"LogConfig in [{placed.section.name}] is ignored."
        yield Problem(placed.entry.line, message, "Remove it and the sections that it names.")


def _of(case: Inspection, keys: frozenset[str]) -> Iterator[Placed]:
    for placed in case.outline.directives:
        if placed.syntax is not None and placed.syntax.name.lower() in keys:
            yield placed


def _unread(placed: Placed, read: set[str]) -> Iterator[str]:
    """The sections that a directive names, but for those that were ``read`` before: many directives may name one."""
    for name in placed.values:
        if name.lower() not in read:
            read.add(name.lower())
            yield name


def _files(case: Inspection, placed: Placed, read: set[str]) -> Iterator[tuple[int, str]]:
    """The files that a DelFiles or RenFiles directive names, with their lines."""
    for name in _unread(placed, read):
        if name.startswith("@"):
            yield placed.entry.line, name[1:]
        for entry in case.inf.entries(name):
            file = case.inf.substitute(entry.value(0))
            if entry.key is None and file:
                yield entry.line, file


RULES = {
    1208: inf_1208_directive_inbox_only,
    1300: inf_1300_legacy_item,
    1301: inf_1301_legacy_operation,
    1302: inf_1302_legacy_operation_on,
    1307: inf_1307_legacy_desktop_item,
    1308: inf_1308_non_additive_operation,
    1309: inf_1309_non_additive_operation_on,
    2004: inf_2004_directive_discouraged,
    2009: inf_2009_legacy_directive_ignored,
}
