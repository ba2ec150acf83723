"""Rules on network drivers.

Sources: network/configuring-an-inf-file-for-a-modifying-filter-driver.md, ddinstall-section-in-a-network-inf-file.md.
Of the class NetDriver the list of codes is all that is documented.
"""

import re
from collections.abc import Iterator

from hwdash.drivers.inf.lexer import Entry, Section
from hwdash.drivers.inf.verify.inspection import Inspection, Problem, RegistryEntry, number
from hwdash.drivers.inf.version import parse_guid

_COMPONENTS = ("AddNetFilter", "AddNetProtocol")
_IDENTIFIER = re.compile(r"[a-z0-9_]+\Z", re.ASCII)
_RESERVED_PREFIXES = ("ms_", "vms_")
_MODIFYING = 2  # FilterType


def inf_2400_two_fields_needed(case: Inspection) -> Iterator[Problem]:
    """A network component has an identifier and a section."""
    for entry in _components(case):
        if len([text for text in case.inf.values(entry) if text]) < 2:
            message = f"{entry.key} does not name both a component and its section."
            yield Problem(entry.line, message, f"Write {entry.key} = identifier, section.")


def inf_2403_one_field_needed(case: Inspection) -> Iterator[Problem]:
    """A filter has one class."""
    for entry in _filter_classes(case):
        if len(entry.values) != 1:
            message = f"FilterClass has {len(entry.values)} values."
            yield Problem(entry.line, message, "Leave one of them.")


def inf_2405_netdrivers_class(case: Inspection) -> Iterator[Problem]:
    """Network components without devices are of the class NetDriver."""
    if not _is_net_driver(case):
        for section in _net_sections(case):
            message = f"[{section.name}] stands in an INF of the class {case.inf.version.class_name}."
            yield Problem(section.line, message, "Make the class NetDriver, or remove the section.")


def inf_2411_bad_guid_net(case: Inspection) -> Iterator[Problem]:
    """The instance of a network component is named by a GUID in braces."""
    for install in case.installs:
        for entry in case.inf.entries(install.section, "NetCfgInstanceId"):
            guid = case.inf.substitute(entry.value(0))
            if parse_guid(guid) is None and "%" not in guid:
                message = f"The NetCfgInstanceId {guid!r} is not a GUID in braces."
                yield Problem(entry.line, message, "Write it as {xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}.")


def inf_2412_bad_component_identifier(case: Inspection) -> Iterator[Problem]:
    """The identifier of a network component is of small letters, digits and underscores."""
    for entry in _components(case):
        name = case.inf.substitute(entry.value(0))
        if name and not _IDENTIFIER.match(name):
            message = f"The component identifier {name!r} has other characters than a to z, 0 to 9 and _."
            yield Problem(entry.line, message, "Choose an identifier of these, acme_filter for example.")


def inf_2414_bad_filter_class(case: Inspection) -> Iterator[Problem]:
    """A filter class is of small letters, digits and underscores."""
    for entry in _filter_classes(case):
        name = case.inf.substitute(entry.value(0))
        if not _IDENTIFIER.match(name):
            message = f"The FilterClass {name!r} has other characters than a to z, 0 to 9 and _, or none."
            yield Problem(entry.line, message, "Write one of the documented classes, compression for example.")


def inf_2415_identifier_prefix_reserved(case: Inspection) -> Iterator[Problem]:
    """The identifiers of the system's own components begin with ms_ and vms_."""
    for entry in _components(case):
        name = case.inf.substitute(entry.value(0))
        if name.startswith(_RESERVED_PREFIXES):
            message = f"The component identifier {name} begins like those of Windows' own components."
            yield Problem(entry.line, message, "Begin it with your company's name.")


def inf_2418_filterclass_missing(case: Inspection) -> Iterator[Problem]:
    """A filter that modifies packets says where in the stack it belongs."""
    values = list(_ndi_values(case))
    if any(entry.value.lower() == "filterclass" for entry in values):
        return
    for entry in values:
        if entry.value.lower() == "filtertype" and entry.data and number(entry.data[0]) == _MODIFYING:
            remedy = "Add HKR,Ndi,FilterClass,,custom or another of the documented classes."
            yield Problem(entry.line, "The modifying filter has no FilterClass.", remedy)


def inf_2420_netdriver_empty(case: Inspection) -> Iterator[Problem]:
    """An INF of the class NetDriver adds a network component."""
    if _is_net_driver(case) and not any(True for _ in _components(case)):
        message = "The class is NetDriver, and no [DefaultInstall.NTarch.NetDrivers] adds a network filter or protocol."
        yield Problem(case.inf.version.line, message, "Add one with AddNetFilter or AddNetProtocol.")


def _is_net_driver(case: Inspection) -> bool:
    return case.inf.version.class_name.lower() == "netdriver"


def _net_sections(case: Inspection) -> Iterator[Section]:
    """[DefaultInstall.NetDrivers] in all its decorations."""
    for section in case.inf.sections:
        name = section.name.lower()
        if name.startswith("defaultinstall.") and name.endswith(".netdrivers"):
            yield section


def _components(case: Inspection) -> Iterator[Entry]:
    """The directives that add network filters and protocols."""
    for section in _net_sections(case):
        for key in _COMPONENTS:
            yield from case.inf.entries(section.name, key)


def _filter_classes(case: Inspection) -> Iterator[Entry]:
    """The FilterClass of every network component that is added, each section once."""
    for section in dict.fromkeys(case.inf.substitute(entry.value(1)).lower() for entry in _components(case)):
        yield from case.inf.entries(section, "FilterClass")


def _ndi_values(case: Inspection) -> Iterator[RegistryEntry]:
    """What is written to the Ndi key of a network component."""
    for entry in case.registry:
        if entry.root == "HKR" and not entry.in_service and entry.subkey.strip("\\").lower() == "ndi":
            yield entry


RULES = {
    2400: inf_2400_two_fields_needed,
    2403: inf_2403_one_field_needed,
    2405: inf_2405_netdrivers_class,
    2411: inf_2411_bad_guid_net,
    2412: inf_2412_bad_component_identifier,
    2414: inf_2414_bad_filter_class,
    2415: inf_2415_identifier_prefix_reserved,
    2418: inf_2418_filterclass_missing,
    2420: inf_2420_netdriver_empty,
}
