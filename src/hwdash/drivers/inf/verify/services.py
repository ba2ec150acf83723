"""Rules on services, interfaces and co-installers.

Sources: install/inf-addservice-directive.md, inf-addinterface-directive.md, inf-ddinstall-coinstallers-section.md.
"""

import re
from collections import defaultdict
from collections.abc import Iterator

from hwdash.drivers.inf.verify.inspection import Inspection, Problem, Service
from hwdash.drivers.inf.version import parse_guid

_UNDER_DIRID = re.compile(r'"?%-?[0-9]+%(?:\\|\Z)')
_EVENT_LOGS = frozenset({"", "system", "application", "security"})


def inf_1019_bad_guid(case: Inspection) -> Iterator[Problem]:
    """AddInterface names its class by a GUID in braces."""
    for install in case.device_installs:
        for entry in case.inf.entries(f"{install.section}.Interfaces", "AddInterface"):
            guid = case.inf.substitute(entry.value(0))
            if parse_guid(guid) is None:
                message = f"AddInterface names the class {guid!r}, which is not a GUID in braces."
                yield Problem(entry.line, message, "Write it as {xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}.")


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


def inf_1303_co_installer(case: Inspection) -> Iterator[Problem]:
    """Co-installers and class installers run code and are no longer allowed."""
    remedy = "Remove it; put what it does into the driver, a service or an AddSoftware component."
    for directive in case.directives:
        if directive.section.endswith(".coinstallers") and directive.key == "addreg":
            yield Problem(directive.entry.line, "A co-installer is registered.", remedy)
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


def inf_2085_service_binary_not_dirid(case: Inspection) -> Iterator[Problem]:
    """A service's binary is given by a path below a numbered directory."""
    for service in case.services:
        entry = case.inf.first(service.section, "ServiceBinary") if service.section else None
        if entry is not None and not _UNDER_DIRID.match(case.inf.substitute(entry.value(0))):
            message = f"The ServiceBinary {entry.value(0)!r} is not given below a directory number."
            yield Problem(entry.line, message, r"Write %13%\NAME.sys.")


RULES = {
    1019: inf_1019_bad_guid,
    1211: inf_1211_two_associated_services,
    1250: inf_1250_bad_event_log,
    1303: inf_1303_co_installer,
    1383: inf_1383_service_flag_not_for_extension,
    2006: inf_2006_service_section_missing,
    2085: inf_2085_service_binary_not_dirid,
}
