"""Rules on services, interfaces and co-installers.

Sources: install/inf-addservice-directive.md, inf-addinterface-directive.md, inf-ddinstall-coinstallers-section.md,
devtest/inf-verif-error-2084.md.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from hwdash.drivers.inf.verify.inspection import Inspection, Problem, Service, number
from hwdash.drivers.inf.version import parse_guid
from hwdash.vocabulary import Architecture

_UNDER_DIRID = re.compile(r'"?%-?[0-9]+%(?:\\|\Z)')
_FRAMEWORK_CO_INSTALLER = re.compile(r"(?:wdfcoinstaller|wudfcoinstaller|wudfupdate_|winusbcoinstaller)", re.IGNORECASE)
_EVENT_LOGS = frozenset({"", "system", "application", "security"})
_SAMPLE_NAMES = frozenset({"echo", "dynambus", "statbus", "bthechosamplecli", "bthechosamplesrv"})
"""Names of sample drivers that InfVerif was reported to refuse (Windows-driver-samples issues 680, 1025, 1177)."""

_UNIQUE_NAME = 0x10000  # SPSVCINST_UNIQUE_NAME: Windows adds to the name what makes it unique
_LONGEST_NAME = 256  # of a service (CreateService)
_KERNEL_TYPES = frozenset({0x1, 0x2})
_WIN32_TYPES = 0x10 | 0x20
_OF_WIN32_ONLY = ("RequiredPrivileges", "ServiceSidType", "DelayedAutoStart", "AddTrigger", "FailureActions")
_OF_KERNEL_ONLY = ("BootFlags",)
_STARTED_BY_LOADER = frozenset({0, 1})  # boot and system start
_DISABLED = 4


def inf_1017_service_name_from_sample(case: Inspection) -> Iterator[Problem]:
    """A driver's service does not have the name of a sample's."""
    for service in case.services:
        if service.name.lower() in _SAMPLE_NAMES:
            message = f"The service name {service.name} is that of a sample driver."
            yield Problem(service.entry.line, message, "Give the service a name of your own, in every directive.")


def inf_1019_bad_guid(case: Inspection) -> Iterator[Problem]:
    """AddInterface names its class by a GUID in braces."""
    for install in case.device_installs:
        for entry in case.inf.entries(f"{install.section}.Interfaces", "AddInterface"):
            guid = case.inf.substitute(entry.value(0))
            if parse_guid(guid) is None:
                message = f"AddInterface names the class {guid!r}, which is not a GUID in braces."
                yield Problem(entry.line, message, "Write it as {xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}.")


def inf_1021_service_name_too_long(case: Inspection) -> Iterator[Problem]:
    """A name that Windows makes longer must leave room for that."""
    for service in case.services:
        if (service.flags or 0) & _UNIQUE_NAME and len(service.name) >= _LONGEST_NAME:
            message = f"The service name {service.name[:32]}... has {len(service.name)} characters, and gets more."
            yield Problem(service.entry.line, message, f"Choose a name well below {_LONGEST_NAME} characters.")


def inf_1022_unique_service_name_inconsistent(case: Inspection) -> Iterator[Problem]:
    """A service name is made unique wherever it is declared, or nowhere."""
    unique = {service.name.lower() for service in case.services if (service.flags or 0) & _UNIQUE_NAME}
    for service in case.services:
        if service.name.lower() in unique and service.flags is not None and not service.flags & _UNIQUE_NAME:
            message = f"{service.name} is added here without the flag 0x10000 (a unique name), and elsewhere with it."
            yield Problem(service.entry.line, message, "Set the flag in every AddService of the service, or in none.")


def inf_1211_two_associated_services(case: Inspection) -> Iterator[Problem]:
    """A device has one function driver."""
    associated: dict[str, dict[str, Service]] = defaultdict(dict)
    for service in case.services:
        if service.is_associated and service.name:
            associated[service.install.section.lower()].setdefault(service.name.lower(), service)
    for services in associated.values():
        first, *others = services.values()
        for other in others:
            message = f"{first.name} and {other.name} are both the associated service of [{first.install.section}]."
            yield Problem(other.entry.line, message, "Leave the flag 0x2 with the function driver's service only.")


def inf_1250_bad_event_log(case: Inspection) -> Iterator[Problem]:
    """A service logs to System, Application or Security."""
    for service in case.services:
        log = case.inf.substitute(service.entry.value(4))
        if log.lower() not in _EVENT_LOGS:
            message = f"{log!r} is not an event log that AddService knows."
            yield Problem(service.entry.line, message, "Write System, Application or Security, or leave it out.")


def inf_1251_disabled_associated_service(case: Inspection) -> Iterator[Problem]:
    """A device's function driver can start."""
    for service in case.services:
        if service.is_associated and _setting(case, service, "StartType") == _DISABLED:
            message = f"{service.name} is the device's associated service and disabled (StartType 4)."
            yield Problem(service.entry.line, message, "Write StartType = 3, or take out the flag 0x2.")


def inf_1252_service_settings_conflict(case: Inspection) -> Iterator[Problem]:
    """A service has the settings that its type allows."""
    for service in case.services:
        kind = _setting(case, service, "ServiceType")
        if kind is None:
            continue
        wrong = list(_OF_WIN32_ONLY if kind in _KERNEL_TYPES else _OF_KERNEL_ONLY if kind & _WIN32_TYPES else ())
        if kind & _WIN32_TYPES and _setting(case, service, "StartType") in _STARTED_BY_LOADER:
            wrong.append("StartType")
        for key in wrong:
            entry = case.inf.first(service.section, key)
            if entry is not None:
                message = f"{service.name} has {key} = {entry.value(0)}, which ServiceType {kind:#x} does not allow."
                yield Problem(entry.line, message, "Take it out, or correct the ServiceType.")


def inf_1253_service_name_missing(case: Inspection) -> Iterator[Problem]:
    """An AddService without a name says that the device has no service, by the flag 0x2."""
    for service in case.services:
        if not service.name and service.flags is not None and not service.is_associated:
            remedy = "Name the service, or write AddService = ,2 for a device without one."
            yield Problem(service.entry.line, "AddService names no service.", remedy)


def inf_1254_bad_service_image(case: Inspection) -> Iterator[Problem]:
    """The quotes in the command line of a service are closed."""
    for service in case.services:
        entry = case.inf.first(service.section, "ServiceBinary") if service.section else None
        path = case.inf.substitute(entry.value(0)) if entry is not None else ""
        if entry is not None and path.count('"') % 2:
            message = f"The ServiceBinary {path} of {service.name} has a quote that is not closed."
            yield Problem(entry.line, message, r'Write """%13%\FOLDER NAME\NAME.exe""" for a path with blanks.')


def inf_1272_unnamed_service_section(case: Inspection) -> Iterator[Problem]:
    """No service needs no section."""
    for service in case.services:
        if not service.name and service.is_associated and service.section:
            message = f"AddService names no service, but the section [{service.section}], which is ignored."
            yield Problem(service.entry.line, message, "Write AddService = ,2, or name the service.")


def inf_1303_co_installer(case: Inspection) -> Iterator[Problem]:
    """Co-installers and class installers run code and are no longer allowed; those of Windows' own frameworks are."""
    remedy = "Remove it; put what it does into the driver, a service or an AddSoftware component."
    for directive in case.directives:
        if directive.section.endswith(".coinstallers") and directive.key == "addreg":
            for name in _co_installers(case, case.inf.values(directive.entry)):
                yield Problem(directive.entry.line, f"The co-installer {name} is registered.", remedy)
    lists = {
        name.lower()
        for section in case.inf.sections
        if section.name.lower().partition(".")[0] == "classinstall32"
        for entry in case.inf.entries(section.name, "AddReg")
        for name in case.inf.values(entry)
    }
    for name in sorted(lists):
        for line in case.inf.entries(name):
            if line.value(2).lower() == "installer32":
                yield Problem(line.line, "A class installer is registered.", remedy)


def _co_installers(case: Inspection, lists: Sequence[str]) -> Iterator[str]:
    """The files that AddReg sections register as co-installers, without those of the driver frameworks.

    Microsoft's catalogs call INFs declarative that register the latter (seen in packages signed from 2018 to 2024);
    Windows 10 ignores them, since it carries the frameworks itself.
    """
    for name in lists:
        for line in case.inf.entries(name):
            _, _, value, _, *files = [*case.inf.values(line), "", "", "", ""]
            if value.lower() == "coinstallers32":
                named = (entry.partition(",")[0].strip() for entry in files)
                yield from (file for file in named if file and not _FRAMEWORK_CO_INSTALLER.match(file))


def inf_1383_service_flag_not_for_extension(case: Inspection) -> Iterator[Problem]:
    """An extension INF brings no function driver."""
    if case.inf.version.is_extension:
        for service in case.services:
            if service.is_associated and service.name:
                message = f"The extension adds {service.name} as the device's associated service."
                yield Problem(service.entry.line, message, "Take out the flag 0x2.")


def inf_2006_service_section_missing(case: Inspection) -> Iterator[Problem]:
    """The section that describes a service must exist."""
    for service in case.services:
        holder = f"{service.install.section}.Services"
        if service.section and case.inf.section(service.section) is None and not case.leans_on_included(holder):
            message = f"AddService for {service.name} names the section [{service.section}], which does not exist."
            yield Problem(service.entry.line, message, "Add the section or correct its name.")


def inf_2084_service_binary_not_copied(case: Inspection) -> Iterator[Problem]:
    """A service's binary is a file that the package brings."""
    if case.inf.first("Version", "LayoutFile") is not None:
        return
    copied: dict[Architecture | None, set[str]] = defaultdict(set)
    for copy in case.copies:
        copied[copy.install.architecture].add(_base_name(copy.file.destination))
    for service in case.services:
        entry = case.inf.first(service.section, "ServiceBinary") if service.section else None
        if entry is None or any(case.leans_on_included(part) for part in case.parts(service.install)):
            continue
        path = case.inf.substitute(entry.value(0))
        binary = path[1:].partition('"')[0] if path.startswith('"') else (path.split() or [""])[0]
        name = _base_name(binary)
        if _UNDER_DIRID.match(path) and name != "svchost.exe" and name not in copied[service.install.architecture]:
            message = f"{binary}, the binary of {service.name}, is not among the files that are copied."
            remedy = "Copy it, put quotes around a path with blanks, or Include and Need the INF of a system's driver."
            yield Problem(entry.line, message, remedy)


def inf_2085_service_binary_not_dirid(case: Inspection) -> Iterator[Problem]:
    """A service's binary is given by a path below a numbered directory."""
    for service in case.services:
        entry = case.inf.first(service.section, "ServiceBinary") if service.section else None
        if entry is not None and not _UNDER_DIRID.match(case.inf.substitute(entry.value(0))):
            message = f"The ServiceBinary {entry.value(0)!r} is not given below a directory number."
            yield Problem(entry.line, message, r"Write %13%\NAME.sys.")


def _setting(case: Inspection, service: Service, key: str) -> int | None:
    """The number that a service's section gives for a key; None without one."""
    entry = case.inf.first(service.section, key) if service.section else None
    text = case.inf.substitute(entry.value(0)) if entry is not None else ""
    return number(text) if text else None


def _base_name(path: str) -> str:
    return path.replace("/", "\\").rpartition("\\")[2].lower()


RULES = {
    1017: inf_1017_service_name_from_sample,
    1019: inf_1019_bad_guid,
    1021: inf_1021_service_name_too_long,
    1022: inf_1022_unique_service_name_inconsistent,
    1211: inf_1211_two_associated_services,
    1250: inf_1250_bad_event_log,
    1251: inf_1251_disabled_associated_service,
    1252: inf_1252_service_settings_conflict,
    1253: inf_1253_service_name_missing,
    1254: inf_1254_bad_service_image,
    1272: inf_1272_unnamed_service_section,
    1303: inf_1303_co_installer,
    1383: inf_1383_service_flag_not_for_extension,
    2006: inf_2006_service_section_missing,
    2084: inf_2084_service_binary_not_copied,
    2085: inf_2085_service_binary_not_dirid,
}
