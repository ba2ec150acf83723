"""Rules on event providers, their channels, AutoLogger sessions and WMI.

Sources: install/inf-addeventprovider-directive.md, inf-addupdateautologger-directive.md, inf-ddinstall-wmi-section.md.
"""

from collections.abc import Iterator
from typing import NamedTuple

from hwdash.drivers.inf.lexer import Entry
from hwdash.drivers.inf.verify.inspection import Inspection, Problem, number

_CHANNEL_TYPES = {1: "Admin", 2: "Operational", 3: "Analytic", 4: "Debug"}
_HIGH_VOLUME = frozenset({3, 4})
_SEQUENTIAL = 2
_CLOBBER_SECURITY = 0x1  # SCWMI_CLOBBER_SECURITY, the only flag of a WMI interface
_DATA_DIRECTORY = "%driverdata%\\"


class _Channel(NamedTuple):
    """A channel that a provider adds; ``kind`` is one of ``_CHANNEL_TYPES``."""

    name: str
    kind: int
    section: str


def inf_1180_event_channel_duplicate_value(case: Inspection) -> Iterator[Problem]:
    """The channels of a provider have different numbers."""
    for provider, channels in _providers(case):
        seen: dict[int, str] = {}
        for channel in channels:
            entry = case.inf.first(channel.section, "Value")
            value = _number(case, entry)
            if entry is None or value is None:
                continue
            first = seen.setdefault(value, channel.name)
            if first != channel.name:
                message = f"The channels {first} and {channel.name} of [{provider}] both have the value {value}."
                yield Problem(entry.line, message, "Give each channel a value of its own, or leave the values out.")


def inf_1181_event_channel_value_invalid(case: Inspection) -> Iterator[Problem]:
    """Only Admin and Operational channels keep their full log files."""
    for channel, entry in _backed_up(case):
        if channel.kind in _HIGH_VOLUME:
            kind = _CHANNEL_TYPES[channel.kind]
            message = f"[{channel.section}] sets LoggingAutoBackup, and the channel {channel.name} is of type {kind}."
            yield Problem(entry.line, message, "Leave it out, or make the channel an Admin or Operational one.")


def inf_1182_event_channel_parameter_mismatch(case: Inspection) -> Iterator[Problem]:
    """Full log files are kept of sequential logs."""
    for channel, entry in _backed_up(case):
        retention = _number(case, case.inf.first(channel.section, "LoggingRetention"))
        if channel.kind not in _HIGH_VOLUME and retention != _SEQUENTIAL:
            message = f"[{channel.section}] sets LoggingAutoBackup without LoggingRetention = 2 (sequential)."
            yield Problem(entry.line, message, "Add LoggingRetention = 2, or leave LoggingAutoBackup out.")


def inf_1256_bad_wmi_flags(case: Inspection) -> Iterator[Problem]:
    """A WMI interface has one flag only."""
    for _, entry in case.subdirectives("WMI", "WMIInterface"):
        values = case.inf.values(entry)
        flags = number(values[1]) if len(values) > 2 else 0
        if flags is not None and flags & ~_CLOBBER_SECURITY:
            message = f"The WMIInterface {values[0]} has the flags {values[1]}."
            yield Problem(entry.line, message, "Write 1 to replace an existing security descriptor, or nothing.")


def inf_1326_data_path_not_isolated(case: Inspection) -> Iterator[Problem]:
    """The log file of an AutoLogger lies below the directory for drivers' data."""
    for _, directive in case.subdirectives("Events", "AddAutoLogger"):
        entry = case.inf.first(case.inf.substitute(directive.value(2)), "FileName")
        path = case.inf.substitute(entry.value(0)) if entry is not None else ""
        if entry is not None and not path.lower().startswith(_DATA_DIRECTORY):
            message = f"The AutoLogger's FileName {path} is not below %DriverData%."
            yield Problem(entry.line, message, r"Write %%DriverData%%\COMPANY\NAME.etl.")


def _providers(case: Inspection) -> Iterator[tuple[str, list[_Channel]]]:
    """The sections of event providers, each once, with the channels that they add."""
    seen: set[str] = set()
    for _, directive in case.subdirectives("Events", "AddEventProvider"):
        section = case.inf.substitute(directive.value(1))
        if section.lower() in seen:
            continue
        seen.add(section.lower())
        channels = []
        for entry in case.inf.entries(section, "AddChannel"):
            name, kind, details, *_ = [*case.inf.values(entry), "", ""]
            parsed = number(kind)
            if parsed in _CHANNEL_TYPES:
                channels.append(_Channel(name, parsed, details))
        yield section, channels


def _backed_up(case: Inspection) -> Iterator[tuple[_Channel, Entry]]:
    """The channels whose full log files are kept, with the entry that says so."""
    for _, channels in _providers(case):
        for channel in channels:
            entry = case.inf.first(channel.section, "LoggingAutoBackup")
            if entry is not None and _number(case, entry) == 1:
                yield channel, entry


def _number(case: Inspection, entry: Entry | None) -> int | None:
    text = case.inf.substitute(entry.value(0)) if entry is not None else ""
    return number(text) if text else None


RULES = {
    1180: inf_1180_event_channel_duplicate_value,
    1181: inf_1181_event_channel_value_invalid,
    1182: inf_1182_event_channel_parameter_mismatch,
    1256: inf_1256_bad_wmi_flags,
    1326: inf_1326_data_path_not_isolated,
}
