"""What the rules look at: the install sections of an INF, and the services, files and registry data below them."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.files import CopiedFile, Destination, copied_files, destination
from hwdash.drivers.inf.lexer import Entry
from hwdash.drivers.inf.models import Device, Manufacturer, TargetOS, devices, install_section, manufacturers
from hwdash.drivers.inf.verify.outline import SUFFIXES, Outline
from hwdash.vocabulary import Architecture

Release = tuple[int, int, int]
"""Major version, minor version, build."""

DRIVER_STORE_SINCE: Release = (10, 0, 16299)
"""The build from which INF files may copy to DIRID 13, the driver store."""

ISOLATION_SINCE: Release = (10, 0, 17763)
"""The build from which InfVerif /w asks for driver package isolation by default (its /wbuild option)."""

_LONGEST_NUMBER = 20  # digits of 64 bits; Python refuses to write out much longer ones

_SUFFIXES = (
    "HW",
    "Services",
    "CoInstallers",
    "Interfaces",
    "WMI",
    "Events",
    "Components",
    "Software",
    "Filters",
    "COM",
)


class Problem(NamedTuple):
    """What a rule found: ``line`` is None for the file as a whole.

    ``inferred``: that InfVerif judges just this is not documented, but follows from what is.
    """

    line: int | None
    message: str
    remedy: str
    inferred: bool = False


@dataclass(frozen=True, slots=True)
class Install:
    """An install section that is used: a device's, or a [DefaultInstall].

    ``serves_isolated``: a system that asks for driver package isolation may use it. ``serves_older``: so may one from
    before the driver store was a destination of its own.
    """

    section: str
    architecture: Architecture | None
    is_device: bool
    serves_isolated: bool
    serves_older: bool


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """A device line with the architecture and target of its Models section and the install section found for it, if
    any."""

    device: Device
    architecture: Architecture
    install: Install | None
    target: TargetOS


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that an install section copies, and where to, if [DestinationDirs] says so.

    ``is_complete`` is False when the install section leans on another INF, which may say more.
    """

    file: CopiedFile
    destination: Destination | None
    install: Install
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Service:
    """An AddService directive: ``flags`` is None when they are not a number."""

    name: str
    flags: int | None
    section: str
    entry: Entry
    install: Install

    @property
    def is_associated(self) -> bool:
        """The service is the device's function driver (SPSVCINST_ASSOCSERVICE)."""
        return bool((self.flags or 0) & 0x2)


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """A line of an AddReg section. ``in_service`` when a service's install section names that section.

    ``flags_text`` is what was written for ``flags``, which is 0 when that is no number; ``section`` is in lower case.
    """

    root: str
    subkey: str
    value: str
    flags: int
    flags_text: str
    data: tuple[str, ...]
    section: str
    line: int
    in_service: bool
    is_isolated: bool


class Directive(NamedTuple):
    """An entry with a key: ``key`` and ``section`` are in lower case.

    ``in_service`` when the section describes a service; ``is_isolated`` when driver package isolation is asked of it.
    """

    key: str
    entry: Entry
    section: str
    in_service: bool
    is_isolated: bool


class Inspection:
    """An INF and what its rules share. Everything is found once, when first asked for.

    ``provider`` is what the INF's Provider must be, ``files`` the paths in its folder, in lower case with slashes; None
    where nobody said.
    """

    def __init__(self, inf: Inf, *, provider: str | None = None, files: Collection[str] | None = None) -> None:
        self.inf = inf
        self.provider = provider
        self.files = None if files is None else {name.replace("\\", "/").lower() for name in files}

    @cached_property
    def manufacturers(self) -> list[Manufacturer]:
        """The lines of [Manufacturer]."""
        return manufacturers(self.inf)

    @cached_property
    def devices(self) -> list[ListedDevice]:
        """The lines of every Models section that exists and whose decoration is one, each section once."""
        found = []
        seen: set[str] = set()
        for manufacturer in self.manufacturers:
            present = {
                models.name.lower(): (models, models.target)
                for models in manufacturer.models
                if models.target is not None and self.inf.section(models.name) is not None
            }
            starts = _starts(target for _, target in present.values())
            for name, (models, target) in present.items():
                if name in seen:
                    continue
                seen.add(name)
                architecture = target.architecture or "x86"
                for device in devices(self.inf, manufacturer, models):
                    section = install_section(self.inf, device.install_section, architecture)
                    install = self._install(section, architecture, True, target, starts) if section else None
                    found.append(ListedDevice(device, architecture, install, target))
        return found

    def _install(
        self, name: str, architecture: Architecture | None, is_device: bool, target: TargetOS, starts: "_Starts"
    ) -> Install:
        section = self.inf.section(name)
        until = _until(target, starts)
        return Install(
            section=section.name if section is not None else name,
            architecture=architecture,
            is_device=is_device,
            serves_isolated=until is None or until > ISOLATION_SINCE,
            serves_older=_oldest(target) < DRIVER_STORE_SINCE,
        )

    @cached_property
    def device_installs(self) -> list[Install]:
        """The install sections of the devices."""
        return list(dict.fromkeys(listed.install for listed in self.devices if listed.install is not None))

    @cached_property
    def default_install_is_unstamped(self) -> bool:
        """A [DefaultInstall] waits for its architecture: 1274 says so, and what follows from it is not told."""
        return any(each.name.lower().startswith("defaultinstall.nt$arch$") for each in self.inf.sections)

    @cached_property
    def default_installs(self) -> list[Install]:
        """[DefaultInstall] in all its decorations."""
        present = []
        for section in self.inf.sections:
            base, dot, decoration = section.name.partition(".")
            if base.lower() == "defaultinstall":
                target = TargetOS.parse(decoration) if dot else TargetOS()
                if target is not None:
                    present.append((section.name, target))
        starts = _starts(target for _, target in present)
        return [self._install(name, target.architecture, False, target, starts) for name, target in present]

    @cached_property
    def installs(self) -> list[Install]:
        """All install sections."""
        return self.device_installs + self.default_installs

    def parts(self, install: Install) -> Iterator[str]:
        """The names of an install section and of those of its suffixed sections that exist."""
        yield install.section
        for suffix in _SUFFIXES:
            name = f"{install.section}.{suffix}"
            if self.inf.section(name) is not None:
                yield name

    def leans_on_included(self, section: str) -> bool:
        """The section is completed by one of another INF, which is not here to be looked at."""
        return bool(self.inf.entries(section, "Include") or self.inf.entries(section, "Needs"))

    def subdirectives(self, suffix: str, key: str) -> Iterator[tuple[Install, Entry]]:
        """The entries of a key in the ``suffix`` sections of the install sections, each section once."""
        seen: set[str] = set()
        for install in self.installs:
            name = f"{install.section}.{suffix}".lower()
            if name not in seen:
                seen.add(name)
                for entry in self.inf.entries(name, key):
                    yield install, entry

    @cached_property
    def outline(self) -> Outline:
        """The sections that can be reached from [Version], the install sections and those of classes."""
        roots = [("Version", "version")]
        for install in self.installs:
            roots.append((install.section, "install" if install.is_device else "default install"))
            roots += [(f"{install.section}.{suffix}", suffix) for suffix in SUFFIXES]
        for section in self.inf.sections:
            base, dot, decoration = section.name.partition(".")
            if base.lower() == "classinstall32" and (not dot or TargetOS.parse(decoration) is not None):
                roots.append((section.name, "class install"))
        for entry in self.inf.entries("InterfaceInstall32"):
            roots.append((self.inf.substitute(entry.value(0)), "interface"))
        return Outline(self.inf, dict.fromkeys(roots))

    @cached_property
    def services(self) -> list[Service]:
        """Every AddService of every install section."""
        found = []
        for install in self.installs:
            for entry in self.inf.entries(f"{install.section}.Services", "AddService"):
                name, flags, section, *_ = [*self.inf.values(entry), "", ""]
                found.append(Service(name, number(flags), section, entry, install))
        return found

    @cached_property
    def directives(self) -> list[Directive]:
        """The entries with a key of install sections, their parts, and the sections of services and interfaces."""
        places: dict[tuple[str, bool], bool] = {}

        def note(section: str, in_service: bool, is_isolated: bool) -> None:
            place = (section.lower(), in_service)
            places[place] = places.get(place, False) or is_isolated

        for install in self.installs:
            for part in self.parts(install):
                note(part, False, install.serves_isolated)
            for entry in self.inf.entries(f"{install.section}.Interfaces", "AddInterface"):
                note(self.inf.substitute(entry.value(2)), False, install.serves_isolated)
        for service in self.services:
            note(service.section, True, service.install.serves_isolated)
        return [
            Directive(entry.key.lower(), entry, section, in_service, is_isolated)
            for (section, in_service), is_isolated in places.items()
            for entry in self.inf.entries(section)
            if section and entry.key is not None
        ]

    @cached_property
    def registry(self) -> list[RegistryEntry]:
        """Every line of the AddReg sections that install sections, their parts and services name."""
        lists: dict[tuple[str, bool], bool] = {}
        for directive in self.directives:
            if directive.key == "addreg":
                for name in self.inf.values(directive.entry):
                    place = (name.lower(), directive.in_service)
                    lists[place] = lists.get(place, False) or directive.is_isolated
        found = []
        for (name, in_service), is_isolated in lists.items():
            for entry in self.inf.entries(name):
                values = self.inf.values(entry)
                root, subkey, value, flags, *_ = [*values, "", "", ""]
                if entry.key is None and root:
                    found.append(
                        RegistryEntry(
                            root=root.upper(),
                            subkey=subkey,
                            value=value,
                            flags=number(flags) or 0,
                            flags_text=flags,
                            data=tuple(values[4:]),
                            section=name,
                            line=entry.line,
                            in_service=in_service,
                            is_isolated=is_isolated,
                        )
                    )
        return found

    @cached_property
    def copies(self) -> list[Copy]:
        """The files that the CopyFiles directives of each install section and its parts name."""
        found = []
        # Many install sections share one list: it is looked at once for each way of using it.
        read: dict[tuple[object, ...], set[str]] = defaultdict(set)
        for install in self.installs:
            parts = list(self.parts(install))
            is_complete = not any(self.leans_on_included(part) for part in parts)
            use = (install.architecture, install.is_device, install.serves_isolated, install.serves_older, is_complete)
            directives = [entry for part in parts for entry in self.inf.entries(part, "CopyFiles")]
            for file in copied_files(self.inf, directives, read[use]):
                found.append(Copy(file, destination(self.inf, file.file_list), install, is_complete))
        return found


def number(text: str) -> int | None:
    """A decimal or 0x hexadecimal number; 0 for empty text; None for anything else."""
    if len(text) > _LONGEST_NUMBER:
        return None
    try:
        return int(text, 16 if text[:2].lower() == "0x" else 10) if text else 0
    except ValueError:
        return None


def _oldest(target: TargetOS) -> Release:
    return (*target.version, target.build or 0) if target.version is not None else (0, 0, 0)


_Starts = dict[tuple[Architecture, int | None], list[Release]]
"""Where the sections of an architecture and product type begin to serve, in order."""


def _starts(targets: Iterable[TargetOS]) -> _Starts:
    starts: _Starts = defaultdict(list)
    for target in targets:
        if not target.suite_mask:
            starts[target.architecture or "x86", target.product_type].append(_oldest(target))
    for releases in starts.values():
        releases.sort()
    return starts


def _until(target: TargetOS, starts: _Starts) -> Release | None:
    """Where a section of the same architecture, for the same or every product type, takes over."""
    later = []
    for product_type in {None, target.product_type}:
        releases = starts.get((target.architecture or "x86", product_type), [])
        later += releases[bisect_right(releases, _oldest(target)) :][:1]
    return min(later, default=None)
