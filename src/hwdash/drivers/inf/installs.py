"""The install sections of an INF: which there are, and what each brings with it.

Sources: install/inf-ddinstall-section.md, install/inf-defaultinstall-section.md and facts/inf/inf_grammar.yaml.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from hwdash.drivers.errors import LimitExceeded
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.files import InstalledFile, installed_files
from hwdash.drivers.inf.lexer import Entry
from hwdash.drivers.inf.models import TargetOS, devices, excluded_ids, feature_score, install_section, manufacturers
from hwdash.drivers.inf.needs import Include, Need, includes_of, resolved
from hwdash.drivers.inf.services import Service, service
from hwdash.vocabulary import Architecture

SUFFIXES = (
    "HW",
    "Services",
    "CoInstallers",
    "FactDef",
    "LogConfigOverride",
    "Interfaces",
    "WMI",
    "Events",
    "Components",
    "Software",
    "Filters",
    "COM",
)
"""What stands after an install section's name in the names of the sections that go with it."""

MAX_INSTALLED = 200_000
"""Files, services and needs that the install sections of one INF may have together."""


@dataclass(frozen=True, slots=True)
class InstallSection:
    """An install section of a device, or a [DefaultInstall], with the sections that it needs from this INF.

    ``section`` is its name with its decoration; ``architecture`` None where the INF says none. ``parts`` are the names
    of its suffixed sections that exist; ``includes`` and ``needs`` are what it and they lean on. Services and files are
    also those of needed sections of this INF; feature score and excluded IDs are the section's own, since drivers are
    compared before anything is installed.
    """

    section: str
    architecture: Architecture | None
    line: int
    feature_score: int | None
    excluded_ids: tuple[str, ...]
    parts: tuple[str, ...]
    includes: tuple[Include, ...]
    needs: tuple[Need, ...]
    services: tuple[Service, ...]
    files: tuple[InstalledFile, ...]


def install_sections(inf: Inf) -> list[InstallSection]:
    """Every install section that a device uses, in the order of the devices, and every [DefaultInstall].

    A section that two architectures share is listed for each. Raises LimitExceeded beyond ``MAX_INSTALLED``.
    """
    found = []
    total = 0
    for name, architecture in _used(inf):
        install = _install(inf, name, architecture)
        total += 1 + len(install.needs) + len(install.services) + len(install.files)
        if total > MAX_INSTALLED:
            raise LimitExceeded(
                f"install sections with more than {MAX_INSTALLED} files and services", source=inf.source
            )
        found.append(install)
    return found


def _used(inf: Inf) -> Iterator[tuple[str, Architecture | None]]:
    seen: set[tuple[str, Architecture | None]] = set()
    read: set[str] = set()
    for manufacturer in manufacturers(inf):
        for models in manufacturer.models:
            if models.target is None or models.name.lower() in read:
                continue
            read.add(models.name.lower())
            architecture = models.target.architecture or "x86"
            for device in devices(inf, manufacturer, models):
                name = install_section(inf, device.install_section, architecture)
                if name is not None and (name.lower(), architecture) not in seen:
                    seen.add((name.lower(), architecture))
                    yield name, architecture
    for section in inf.sections:
        base, dot, decoration = section.name.partition(".")
        target = TargetOS.parse(decoration) if dot else TargetOS()
        if base.lower() == "defaultinstall" and target is not None:
            yield section.name, target.architecture


def _install(inf: Inf, name: str, architecture: Architecture | None) -> InstallSection:
    section = inf.section(name)
    parts = [part for suffix in SUFFIXES if (part := inf.section(f"{name}.{suffix}")) is not None]
    whole = {part.name: resolved(inf, part.name) for part in (section, *parts) if part is not None}
    services = [
        service(inf, entry)
        for part, found in whole.items()
        if part.lower().endswith(".services")
        for entry in found.keyed(inf, "AddService")
    ]
    directives = [entry for found in whole.values() for entry in found.keyed(inf, "CopyFiles")]
    return InstallSection(
        section=section.name if section is not None else name,
        architecture=architecture,
        line=section.line if section is not None else 0,
        feature_score=feature_score(inf, name),
        excluded_ids=tuple(excluded_ids(inf, name)),
        parts=tuple(part.name for part in parts),
        includes=tuple(found for part in whole for found in includes_of(inf, part)),
        needs=tuple(need for found in whole.values() for need in found.needs),
        services=tuple(services),
        files=tuple(_files(inf, directives, architecture)),
    )


def _files(inf: Inf, directives: list[Entry], architecture: Architecture | None) -> Iterator[InstalledFile]:
    for number, file in enumerate(installed_files(inf, directives, architecture)):
        if number >= MAX_INSTALLED:
            raise LimitExceeded(f"an install section that copies more than {MAX_INSTALLED} files", source=inf.source)
        yield file
