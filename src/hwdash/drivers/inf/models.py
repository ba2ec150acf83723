"""Which devices an INF supports on an operating system.

Sources: install/inf-manufacturer-section.md, install/inf-models-section.md, install/inf-ddinstall-section.md and
facts/inf/driver_metadata_rules.yaml. Each [Manufacturer] line is judged alone and gives at most one Models section:

- the architecture must be equal; without one (``.nt`` or nothing) a section is for x86;
- product type must be equal; a suite mask never matches, since an OS code names no suite;
- a stated version must not be above that of the system; the build counts only when the versions are equal;
- of what matches, the highest version wins, then build, then a stated product type, then a stated architecture, then
  any decoration at all.

The chosen section counts even when it is empty: that is how an INF says that it does not support a system.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.lexer import Entry
from hwdash.vocabulary import Architecture, OperatingSystem

_NUMBER = r"(0x[0-9a-f]{1,8}|[0-9]{1,10})?"
_TARGET = re.compile(
    rf"nt(?P<architecture>x86|ia64|amd64|arm64|arm)?"
    rf"(?:\.{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER})?)?)?)?)?\Z",
    re.IGNORECASE | re.ASCII,
)
_FEATURE_SCORE = re.compile(r"(?:0x)?([0-9a-f]{1,2})\Z", re.IGNORECASE | re.ASCII)

_ARCHITECTURES: dict[str, Architecture] = {name: name for name in get_args(Architecture)}
_WORKSTATION, _SERVER = 1, 3


@dataclass(frozen=True, slots=True)
class TargetOS:
    """A TargetOSVersion decoration, ``nt[arch][.major[.minor[.producttype[.suitemask[.build]]]]]``.

    ``version`` is None where none is stated; a minor version that is left out is 0.
    """

    architecture: Architecture | None = None
    version: tuple[int, int] | None = None
    product_type: int | None = None
    suite_mask: int | None = None
    build: int | None = None

    @classmethod
    def parse(cls, text: str) -> "TargetOS | None":
        """The decoration in ``text``, with or without its leading dot; None when it is not one."""
        match = _TARGET.match(text.removeprefix("."))
        if match is None:
            return None
        major, minor, product_type, suite_mask, build = (
            None if number is None else int(number, 0 if number[:2].lower() == "0x" else 10)
            for number in match.groups()[1:]
        )
        architecture = _ARCHITECTURES.get((match["architecture"] or "").lower())
        version = None if major is None else (major, minor or 0)
        return cls(architecture, version, product_type, suite_mask, build)

    def matches(self, system: OperatingSystem) -> bool:
        """The decoration applies to a system. A system of unknown build counts as newer than every build."""
        if (self.architecture or "x86") != system.architecture or self.suite_mask:
            return False
        if self.product_type is not None and self.product_type != (_SERVER if system.server else _WORKSTATION):
            return False
        if self.version is None:
            return True
        running = (system.major, system.minor)
        if self.version == running:
            return self.build is None or system.build is None or self.build <= system.build
        return self.version < running

    def precedence(self, system: OperatingSystem) -> tuple[object, ...]:
        """Sorts decorations that match a system: the greatest one is used."""
        same = self.version == (system.major, system.minor)
        return (
            self.version is not None,
            self.version or (0, 0),
            (self.build or 0) if same else 0,
            self.product_type is not None,
            self.architecture is not None,
        )


UNDECORATED = TargetOS()


@dataclass(frozen=True, slots=True)
class ModelsSection:
    """A Models section that a [Manufacturer] line names, whether it exists or not.

    ``decoration`` is the text after the base name (``""`` for none); ``target`` is None when that is not a decoration.
    """

    name: str
    decoration: str
    target: TargetOS | None


@dataclass(frozen=True, slots=True)
class Manufacturer:
    """A line of [Manufacturer]: ``name`` has its tokens replaced; ``models`` in the order of the line."""

    name: str
    models: tuple[ModelsSection, ...]
    line: int

    def models_for(self, system: OperatingSystem) -> ModelsSection | None:
        """The one Models section of this line that a system uses, or None."""
        best: tuple[tuple[object, ...], ModelsSection] | None = None
        for section in self.models:
            if section.target is not None and section.target.matches(system):
                rank = (*section.target.precedence(system), section.decoration != "")
                if best is None or rank > best[0]:
                    best = rank, section
        return best[1] if best else None


@dataclass(frozen=True, slots=True)
class Device:
    """A line of a Models section. ``manufacturer`` and ``description`` have their tokens replaced.

    ``install_section`` is undecorated, as the line gives it. An INF device line has one hardware ID; it may be absent
    when compatible IDs follow.
    """

    manufacturer: str
    description: str
    hardware_ids: tuple[str, ...]
    compatible_ids: tuple[str, ...]
    install_section: str
    line: int

    @property
    def ids(self) -> tuple[str, ...]:
        """Hardware IDs, then compatible IDs."""
        return self.hardware_ids + self.compatible_ids


def manufacturers(inf: Inf) -> list[Manufacturer]:
    """The lines of [Manufacturer] in order. A line without ``=`` is both the name and the Models section."""
    found = []
    for entry in inf.entries("Manufacturer"):
        base, *decorations = inf.values(entry)
        name = base if entry.key is None else inf.substitute(entry.key)
        models = [ModelsSection(base, "", UNDECORATED)]
        models += [ModelsSection(f"{base}.{text}", text, TargetOS.parse(text)) for text in decorations if text]
        found.append(Manufacturer(name, tuple(models), entry.line))
    return found


def devices(inf: Inf, manufacturer: Manufacturer, models: ModelsSection) -> Iterator[Device]:
    """The devices of one Models section, in order."""
    for entry in inf.entries(models.name):
        yield _device(inf, manufacturer.name, entry)


def devices_for(inf: Inf, system: OperatingSystem) -> list[Device]:
    """The devices that an INF installs on a system, in order. A Models section that several manufacturers name counts
    for the first."""
    chosen: dict[str, tuple[Manufacturer, ModelsSection]] = {}
    for manufacturer in manufacturers(inf):
        models = manufacturer.models_for(system)
        if models is not None:
            chosen.setdefault(models.name.lower(), (manufacturer, models))
    return [device for manufacturer, models in chosen.values() for device in devices(inf, manufacturer, models)]


def _device(inf: Inf, manufacturer: str, entry: Entry) -> Device:
    install, *ids = inf.values(entry)
    description = install if entry.key is None else inf.substitute(entry.key)
    return Device(
        manufacturer=manufacturer,
        description=description,
        hardware_ids=tuple(ids[:1]) if ids[:1] != [""] else (),
        compatible_ids=tuple(text for text in ids[1:] if text),
        install_section=install,
        line=entry.line,
    )


def architectures(inf: Inf) -> set[Architecture]:
    """The architectures an INF has devices or, without [Manufacturer], an architecture's DefaultInstall section for."""
    targets = [
        models.target
        for manufacturer in manufacturers(inf)
        for models in manufacturer.models
        if models.target is not None and inf.entries(models.name)
    ]
    found = {target.architecture or "x86" for target in targets}
    for section in inf.sections:
        base, _, decoration = section.name.lower().partition(".")
        target = TargetOS.parse(decoration) if base == "defaultinstall" else None
        if target is not None and target.architecture is not None:
            found.add(target.architecture)
    return found


def decorated_names(name: str, architecture: Architecture) -> tuple[str, str, str]:
    """The names under which an install section is looked for, in order: the first that exists is used, and its
    ``.Services`` and other sections carry the same decoration."""
    return f"{name}.nt{architecture}", f"{name}.nt", name


def install_section(inf: Inf, name: str, architecture: Architecture) -> str | None:
    """The decorated name of the install section that an architecture uses, or None when there is none."""
    return next((found for found in decorated_names(name, architecture) if inf.section(found) is not None), None)


def excluded_ids(inf: Inf, section: str) -> list[str]:
    """The IDs for which an install section is not to be used although a device line says so (ExcludeID,
    install/inf-ddinstall-section.md). They stay in the Models section, and in the driver metadata.
    """
    return [text for entry in inf.entries(section, "ExcludeID") for text in inf.values(entry) if text]


def feature_score(inf: Inf, section: str) -> int | None:
    """The FeatureScore of an install section, 0 (best) to 255; None when it has none that is valid. The first counts
    (install/inf-featurescore-directive.md)."""
    entry = inf.first(section, "FeatureScore")
    match = _FEATURE_SCORE.match(inf.substitute(entry.value(0))) if entry is not None else None
    return int(match[1], 16) if match else None
