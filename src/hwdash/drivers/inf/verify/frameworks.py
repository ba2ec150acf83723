"""Rules on the directives of the driver frameworks (wdf/specifying-wdf-directives-in-inf-files.md)."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from hwdash.drivers.inf.lexer import Entry
from hwdash.drivers.inf.verify.inspection import Inspection, Install, Problem

_VERSION = re.compile(r"([0-9]{1,5})\.[0-9]{1,5}(?:\.[0-9]{1,5})?\Z", re.ASCII)
_OF_VERSION_1_ONLY = ("DriverCLSID",)
_NAMING = ("UmdfServiceOrder", "UmdfExtensions")


class _UserModeDriver(NamedTuple):
    """A UmdfService directive. ``major`` is the framework's, None when the INF does not say it in numbers."""

    name: str
    section: str
    entry: Entry
    install: Install
    version: Entry | None
    major: int | None


def inf_1400_umdf_service_unreferenced(case: Inspection) -> Iterator[Problem]:
    """A user-mode driver has its place in the order of drivers."""
    named = {
        name.lower()
        for key in _NAMING
        for _, entry in case.subdirectives("Wdf", key)
        for name in case.inf.values(entry)
    }
    for driver in _user_mode_drivers(case):
        if (
            driver.name
            and driver.name.lower() not in named
            and not case.leans_on_included(f"{driver.install.section}.Wdf")
        ):
            message = f"The UMDF driver {driver.name} is not named in UmdfServiceOrder."
            yield Problem(driver.entry.line, message, f"Add UmdfServiceOrder = {driver.name}.")


def inf_1401_wdf_directive_retired(case: Inspection) -> Iterator[Problem]:
    """UMDF 2 has no COM classes."""
    for driver in _user_mode_drivers(case):
        for key in _OF_VERSION_1_ONLY if (driver.major or 0) >= 2 else ():
            entry = case.inf.first(driver.section, key)
            if entry is not None and driver.version is not None:
                version = case.inf.substitute(driver.version.value(0))
                message = f"[{driver.section}] has {key}, which UMDF {version} no longer knows."
                yield Problem(entry.line, message, "Remove it.")


def inf_1402_wdf_version_retired(case: Inspection) -> Iterator[Problem]:
    """UMDF 1 is retired."""
    for driver in _user_mode_drivers(case):
        if driver.major == 1 and driver.version is not None:
            version = case.inf.substitute(driver.version.value(0))
            message = f"The UMDF driver {driver.name} uses UMDF {version}, which is retired."
            yield Problem(driver.version.line, message, "Port the driver to UMDF 2.")


def _user_mode_drivers(case: Inspection) -> Iterator[_UserModeDriver]:
    for install, entry in case.subdirectives("Wdf", "UmdfService"):
        name, section, *_ = [*case.inf.values(entry), ""]
        version = case.inf.first(section, "UmdfLibraryVersion") if section else None
        match = _VERSION.match(case.inf.substitute(version.value(0))) if version is not None else None
        yield _UserModeDriver(name, section, entry, install, version, int(match[1]) if match else None)


RULES = {
    1400: inf_1400_umdf_service_unreferenced,
    1401: inf_1401_wdf_directive_retired,
    1402: inf_1402_wdf_version_retired,
}
