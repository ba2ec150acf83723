"""The driver metadata file: what a client needs to know of a package to target hardware IDs.

Source: dashboard/driver-package-metadata.md. Its one sample settles the shape; what it leaves open is decided in
facts/inf/driver_metadata_rules.yaml.
"""

from collections.abc import Mapping, Sequence

from hwdash.drivers.errors import LimitExceeded
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.models import (
    Manufacturer,
    ModelsSection,
    devices,
    devices_for,
    feature_score,
    install_section,
    manufacturers,
)
from hwdash.drivers.inf.version import parse_guid
from hwdash.vocabulary import Architecture, OperatingSystem

UNKNOWN_DATE = "0001-01-01T00:00:00"
"""DriverDate of an INF without a valid one: clients read a date that cannot be null."""

_LANGUAGES = {
    0x01: "Arabic", 0x02: "Bulgarian", 0x03: "Catalan", 0x04: "Chinese", 0x05: "Czech", 0x06: "Danish", 0x07: "German",
    0x08: "Greek", 0x09: "English", 0x0A: "Spanish", 0x0B: "Finnish", 0x0C: "French", 0x0D: "Hebrew",
    0x0E: "Hungarian", 0x0F: "Icelandic", 0x10: "Italian", 0x11: "Japanese", 0x12: "Korean", 0x13: "Dutch",
    0x14: "Norwegian", 0x15: "Polish", 0x16: "Portuguese", 0x18: "Romanian", 0x19: "Russian", 0x1A: "Croatian",
    0x1B: "Slovak", 0x1D: "Swedish", 0x1E: "Thai", 0x1F: "Turkish", 0x21: "Indonesian", 0x22: "Ukrainian",
    0x24: "Slovenian", 0x25: "Estonian", 0x26: "Latvian", 0x27: "Lithuanian", 0x2A: "Vietnamese", 0x2D: "Basque",
    0x3E: "Malay", 0x56: "Galician",
}  # fmt: skip
"""English names by primary language identifier, the low ten bits of a LANGID."""

_VARIANTS = {
    0x0404: "Chinese (Traditional)", 0x0804: "Chinese (Simplified)", 0x0C04: "Chinese (Traditional)",
    0x1004: "Chinese (Simplified)", 0x0416: "Portuguese (Brazil)", 0x0816: "Portuguese (Portugal)",
    0x081A: "Serbian", 0x0C1A: "Serbian", 0x241A: "Serbian", 0x281A: "Serbian",
}  # fmt: skip

MAX_PNP_IDS = 500_000

JsonObject = dict[str, object]


def driver_metadata(
    bundles: Mapping[str, Sequence[tuple[str, Inf]]], operating_systems: Sequence[OperatingSystem]
) -> JsonObject:
    """The driver metadata of a package as a JSON object in the wire's PascalCase.

    ``bundles`` maps a bundle id to the INFs of that driver folder, each with its file name; ``operating_systems`` are
    those whose signatures were asked for. Every INF of every bundle is listed; of two whose names differ in case alone,
    or not at all, the first, since the map has room for one. A system on which an INF installs nothing has no key in
    its OSPnPInfoMap. Raises LimitExceeded when an INF lists more than ``MAX_PNP_IDS`` combinations of system and ID;
    nothing else that an INF says is an error here.
    """
    return {
        "BundleInfoMap": {
            bundle: {
                "Locales": locales([inf for _, inf in infs]),
                "InfInfoMap": {
                    name: _inf_info(name, inf, operating_systems) for name, inf in _first_of_each_name(infs)
                },
            }
            for bundle, infs in bundles.items()
        }
    }


def pnp_positions(
    bundles: Mapping[str, Sequence[tuple[str, Inf]]], operating_systems: Sequence[OperatingSystem]
) -> JsonObject:
    """Where the IDs of ``driver_metadata`` stand in their models lines: {bundle id: {INF: {OS code: {pnp id: n}}}}.

    n is 1 for the first of a line's compatible IDs, and so on; IDs that are the hardware ID of a line, at 0, are left
    out. Of an ID that occurs twice the smallest counts. Drivers are ranked by it (install/identifier-score.md).
    """
    found: JsonObject = {}
    for bundle, infs in bundles.items():
        of_infs = {name: _positions(inf, operating_systems) for name, inf in _first_of_each_name(infs)}
        if of_infs := {name: systems for name, systems in of_infs.items() if systems}:
            found[bundle] = of_infs
    return found


def _positions(inf: Inf, operating_systems: Sequence[OperatingSystem]) -> JsonObject:
    lines = manufacturers(inf)
    known: dict[tuple[str, ...], JsonObject] = {}
    found: JsonObject = {}
    for system in operating_systems:
        names = tuple(models.name for line in lines if (models := line.models_for(system)) is not None)
        if names not in known:
            smallest: dict[str, int] = {}
            for device in devices_for(inf, system):
                for place, pnp_id in (
                    *((0, each) for each in device.hardware_ids),
                    *enumerate(device.compatible_ids, 1),
                ):
                    smallest[pnp_id.lower()] = min(place, smallest.get(pnp_id.lower(), place))
            known[names] = {pnp_id: place for pnp_id, place in smallest.items() if place}
        if known[names]:
            found[system.code] = known[names]
    return found


def _first_of_each_name(infs: Sequence[tuple[str, Inf]]) -> list[tuple[str, Inf]]:
    found: dict[str, tuple[str, Inf]] = {}
    for name, inf in infs:
        found.setdefault(name.casefold(), (name, inf))
    return list(found.values())


def language_name(language: int) -> str | None:
    """The English name of a LANGID's language, None for one that is not known."""
    return _VARIANTS.get(language) or _LANGUAGES.get(language & 0x3FF)


def locales(infs: Sequence[Inf]) -> list[str]:
    """English names of the languages that INFs have strings in. [Strings] itself counts as English."""
    names = ["English"]
    for inf in infs:
        for language in inf.languages:
            name = language_name(language)
            if name is not None and name not in names:
                names.append(name)
    return names


def _inf_info(name: str, inf: Inf, operating_systems: Sequence[OperatingSystem]) -> JsonObject:
    version = inf.version
    driver_ver = version.driver_ver
    date = driver_ver.date if driver_ver else None
    number = driver_ver.version if driver_ver else None
    extension = parse_guid(version.extension_id)
    return {
        "DriverPackageFamilyId": f"{version.provider}-{name}",
        "InfClass": version.class_name,
        "DriverVersion": ".".join(map(str, number or (0, 0, 0, 0))),
        "DriverDate": f"{date.isoformat()}T00:00:00" if date else UNKNOWN_DATE,
        "ExtensionId": str(extension) if extension else None,
        "Provider": version.provider,
        "ClassGuid": version.class_guid.lower(),
        "InstallationComputerHardwareIds": [],
        "OSPnPInfoMap": _os_pnp_info(inf, operating_systems),
    }


def _os_pnp_info(inf: Inf, operating_systems: Sequence[OperatingSystem]) -> JsonObject:
    lines = manufacturers(inf)
    known: dict[tuple[object, ...], JsonObject] = {}  # systems that use the same sections share one map
    found: JsonObject = {}
    listed = 0
    for system in operating_systems:
        chosen = [(line, models) for line in lines if (models := line.models_for(system)) is not None]
        use = (system.architecture, *(models.name.lower() for _, models in chosen))
        if use not in known:
            known[use] = _pnp_info(inf, chosen, system.architecture)
        listed += len(known[use])
        if listed > MAX_PNP_IDS:
            raise LimitExceeded(f"more than {MAX_PNP_IDS} combinations of system and hardware ID", source=inf.source)
        if known[use]:
            found[system.code] = known[use]
    return found


def _pnp_info(inf: Inf, chosen: Sequence[tuple[Manufacturer, ModelsSection]], architecture: Architecture) -> JsonObject:
    scores: dict[str, str | None] = {}
    pnp: JsonObject = {}
    read: set[str] = set()
    for manufacturer, models in chosen:
        if models.name.lower() in read:
            continue
        read.add(models.name.lower())
        for device in devices(inf, manufacturer, models):
            name = device.install_section.lower()
            if name not in scores:
                scores[name] = _score(inf, name, architecture)
            for pnp_id in device.ids:
                # The first line of the file wins where an ID occurs twice.
                pnp.setdefault(
                    pnp_id.lower(),
                    {
                        "Manufacturer": device.manufacturer,
                        "DeviceDescription": device.description,
                        "FeatureScore": scores[name],
                    },
                )
    return pnp


def _score(inf: Inf, name: str, architecture: Architecture) -> str | None:
    section = install_section(inf, name, architecture)
    score = feature_score(inf, section) if section is not None else None
    return None if score is None else f"{score:02X}"
