"""Rules on install sections that set one thing differently (devtest/inf-verif-error-1330.md).

Windows may process all install sections of an INF before a device is there: what is not the device's own must then be
the same in all of them. Sections are compared when the same Models decoration leads to them, since one system
uses both; what is below HKR is the device's own, or the service's.
"""

from collections import defaultdict
from collections.abc import Iterator

from hwdash.drivers.inf.models import TargetOS
from hwdash.drivers.inf.verify.inspection import Inspection, Install, Problem, RegistryEntry, Service, number

MAX_STEPS = 200_000
"""Lines read, values and services compared by one rule: what an INF has beyond them is not compared."""

_CONDITIONAL = 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x2000  # not simply set, or a key (inf-addreg-directive.md)
_TYPE = 0xFFFF0001
_VIEW = 0x1000 | 0x4000  # the 64-bit and the 32-bit registry
_SETTINGS = ("ServiceType", "StartType", "ErrorControl", "ServiceBinary", "LoadOrderGroup")

_Place = tuple[str, str, str, int]
"""Root, subkey, value name and view of the registry."""


class _Reader:
    """The values that lists of AddReg sections set: each combination is read once, until the steps are used up."""

    def __init__(self, case: Inspection) -> None:
        self.inf = case.inf
        self.steps = 0
        self.known: dict[tuple[str, ...], dict[_Place, RegistryEntry]] = {}
        self.lines: dict[str, dict[int, RegistryEntry]] = defaultdict(dict)
        for entry in case.registry:
            self.lines[entry.section].setdefault(entry.line, entry)

    def values(self, sections: list[str]) -> dict[_Place, RegistryEntry]:
        """What the AddReg directives of some sections set in the end: of two lines for one value the later counts."""
        entries = [entry for section in sections for entry in self.inf.entries(section, "AddReg")]
        lists = tuple(name.lower() for entry in entries for name in self.inf.values(entry))
        if lists not in self.known:
            self.known[lists] = dict(self._read(lists))
        self.steps += len(self.known[lists])
        return self.known[lists] if self.steps <= MAX_STEPS else {}

    def _read(self, lists: tuple[str, ...]) -> Iterator[tuple[_Place, RegistryEntry]]:
        for name in lists:
            for entry in self.lines[name].values() if name in self.lines else ():
                self.steps += 1
                if self.steps > MAX_STEPS:
                    return
                if not entry.flags & _CONDITIONAL and (entry.value or entry.data):
                    subkey = entry.subkey.strip("\\").lower()
                    yield (entry.root, subkey, entry.value.lower(), entry.flags & _VIEW), entry


def inf_1331_registry_conflict(case: Inspection) -> Iterator[Problem]:
    """Install sections set a registry value outside of HKR alike."""
    reader = _Reader(case)
    for installs in _installs_by_target(case).values():
        first: dict[_Place, tuple[str, RegistryEntry]] = {}
        for install in installs:
            for place, found in reader.values(list(case.parts(install))).items():
                if found.root == "HKR":
                    continue  # the device's own
                other, before = first.setdefault(place, (install.section, found))
                if _differ(before, found):
                    what = _what(found)
                    message = f"[{install.section}] sets {what} otherwise than [{other}] does in line {before.line}."
                    yield Problem(found.line, message, "Set it alike, or below HKR, where each device has its own.")


def inf_1332_service_registry_conflict(case: Inspection) -> Iterator[Problem]:
    """Install sections set the registry values of a service alike."""
    reader = _Reader(case)
    for services in _services_by_target(case):
        first: dict[tuple[str, _Place], tuple[str, RegistryEntry]] = {}
        for service in services:
            for place, found in reader.values([service.section]).items():
                key = (service.name.lower(), place)
                other, before = first.setdefault(key, (service.section, found))
                if _differ(before, found):
                    what = f"{_what(found)} of the service {service.name}"
                    message = f"[{service.section}] sets {what} otherwise than [{other}] does in line {before.line}."
                    remedy = "Set it alike, or make two services of different names."
                    yield Problem(found.line, message, remedy)


def inf_1333_service_conflict(case: Inspection) -> Iterator[Problem]:
    """Install sections configure a service alike."""
    for services in _services_by_target(case):
        first: dict[tuple[str, str], tuple[str, int | str]] = {}
        for service in services:
            for key in _SETTINGS:
                entry = case.inf.first(service.section, key)
                text = case.inf.substitute(entry.value(0)) if entry is not None else ""
                if entry is None or not text:
                    continue
                parsed = number(text)
                found = text.lower() if parsed is None else parsed
                other, before = first.setdefault((service.name.lower(), key), (service.section, found))
                if before != found:
                    message = f"[{service.section}] gives {service.name} another {key} than [{other}] does: {text}."
                    remedy = "Write it alike, or make two services of different names."
                    yield Problem(entry.line, message, remedy)


def _differ(first: RegistryEntry, second: RegistryEntry) -> bool:
    return (first.flags & _TYPE, first.data) != (second.flags & _TYPE, second.data)


def _what(entry: RegistryEntry) -> str:
    return f"the value {entry.value!r} of {entry.root}\\{entry.subkey}"


def _installs_by_target(case: Inspection) -> dict[TargetOS, list[Install]]:
    found: dict[TargetOS, dict[str, Install]] = defaultdict(dict)
    for listed in case.devices:
        if listed.install is not None:
            found[listed.target].setdefault(listed.install.section.lower(), listed.install)
    return {target: list(installs.values()) for target, installs in found.items()}


def _services_by_target(case: Inspection) -> Iterator[list[Service]]:
    """The services of each group of install sections, each service with each of its sections once."""
    by_section: dict[str, list[Service]] = defaultdict(list)
    for service in case.services:
        if service.name and service.section:
            by_section[service.install.section.lower()].append(service)
    steps = 0
    for installs in _installs_by_target(case).values():
        found: dict[tuple[str, str], Service] = {}
        for install in installs:
            for service in by_section[install.section.lower()]:
                found.setdefault((service.name.lower(), service.section.lower()), service)
                steps += 1
                if steps > MAX_STEPS:
                    return
        yield list(found.values())


RULES = {
    1331: inf_1331_registry_conflict,
    1332: inf_1332_service_registry_conflict,
    1333: inf_1333_service_conflict,
}
