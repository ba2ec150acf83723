"""All that an INF says, as one JSON object: what ``hwdash inf show`` prints."""

from hwdash.drivers.errors import LimitExceeded
from hwdash.drivers.inf.document import Inf
from hwdash.drivers.inf.installs import InstallSection, install_sections
from hwdash.drivers.inf.metadata import JsonObject, language_name
from hwdash.drivers.inf.models import Manufacturer, ModelsSection, devices, manufacturers
from hwdash.drivers.inf.services import Service

MAX_DEVICES = 200_000
"""Device lines that one INF may have, counted once for each manufacturer that names their section."""

_START_TYPES = ("boot", "system", "auto", "demand", "disabled")


def contents(inf: Inf) -> JsonObject:
    """What stands in an INF, in its own order. Names have their tokens replaced; numbers count lines from 1.

    ``file``, ``encoding``, ``unstamped`` ([{token, line}]), ``version``, ``manufacturers`` (with ``models``, and these
    with ``devices``), ``installSections`` (with ``services`` and ``files``), ``languages`` ([Strings] has no id).
    Raises LimitExceeded beyond ``MAX_DEVICES`` and the limits of install sections.
    """
    lines = manufacturers(inf)
    listed = sum(len(inf.entries(models.name)) for line in lines for models in line.models)
    if listed > MAX_DEVICES:
        raise LimitExceeded(f"{listed} devices; {MAX_DEVICES} can be listed", source=inf.source)
    return {
        "file": inf.source,
        "encoding": inf.encoding,
        "unstamped": [{"token": token, "line": line} for token, line in inf.unstamped()],
        "version": _version(inf),
        "manufacturers": [_manufacturer(inf, each) for each in lines],
        "installSections": [_install(each) for each in install_sections(inf)],
        "languages": [
            {
                "languageId": None if language is None else f"{language:04x}",
                "name": None if language is None else language_name(language),
                "section": section.name,
                "strings": len(section.entries),
            }
            for language, name in [(None, "Strings"), *inf.languages.items()]
            if (section := inf.section(name)) is not None
        ],
    }


def _version(inf: Inf) -> JsonObject:
    version = inf.version
    stamp = version.driver_ver
    return {
        "signature": version.signature,
        "class": version.class_name,
        "classGuid": version.class_guid,
        "provider": version.provider,
        "driverDate": stamp.date.isoformat() if stamp and stamp.date else None,
        "driverVersion": ".".join(map(str, stamp.version)) if stamp and stamp.version else None,
        "catalogFiles": [
            {"decoration": decoration.removeprefix("."), "name": name}
            for decoration, name in version.catalog_files.items()
        ],
        "extensionId": version.extension_id or None,
        "pnpLockdown": version.pnp_lockdown == "1",
        "line": version.line,
    }


def _manufacturer(inf: Inf, manufacturer: Manufacturer) -> JsonObject:
    # A bare section that is not there is no mistake beside decorated ones.
    listed = [
        models
        for models in manufacturer.models
        if models.decoration or len(manufacturer.models) == 1 or inf.section(models.name) is not None
    ]
    return {
        "name": manufacturer.name,
        "line": manufacturer.line,
        "models": [_models(inf, manufacturer, models) for models in listed],
    }


def _models(inf: Inf, manufacturer: Manufacturer, models: ModelsSection) -> JsonObject:
    target = models.target
    version = target.version if target else None
    return {
        "section": models.name,
        "decoration": models.decoration,
        "isDecoration": target is not None,
        "isPresent": inf.section(models.name) is not None,
        "architecture": (target.architecture or "x86") if target else None,
        "osVersion": ".".join(map(str, version)) if version else None,
        "productType": target.product_type if target else None,
        "suiteMask": target.suite_mask if target else None,
        "build": target.build if target else None,
        "devices": [
            {
                "description": device.description,
                "installSection": device.install_section,
                "hardwareIds": list(device.hardware_ids),
                "compatibleIds": list(device.compatible_ids),
                "line": device.line,
            }
            for device in devices(inf, manufacturer, models)
        ],
    }


def _install(install: InstallSection) -> JsonObject:
    score = install.feature_score
    return {
        "section": install.section,
        "architecture": install.architecture,
        "line": install.line,
        "featureScore": None if score is None else f"{score:02X}",
        "excludedIds": list(install.excluded_ids),
        "parts": list(install.parts),
        "includes": [{"section": each.section, "file": each.file, "line": each.line} for each in install.includes],
        "needs": [
            {"section": each.section, "needs": each.name, "isHere": each.is_here, "line": each.line}
            for each in install.needs
        ],
        "services": [_service(each) for each in install.services],
        "files": [
            {
                "source": file.source,
                "cabinet": file.cabinet,
                "dirid": file.dirid,
                "destination": file.destination,
                "line": file.line,
            }
            for file in install.files
        ],
    }


def _service(service: Service) -> JsonObject:
    start = service.start_type
    return {
        "name": service.name,
        "flags": service.flags,
        "isAssociated": service.is_associated,
        "section": service.section,
        "binary": str(service.binary) if service.binary else None,
        "dirid": service.binary.dirid if service.binary else None,
        "serviceType": service.service_type,
        "startType": start,
        "start": _START_TYPES[start] if start is not None and start < len(_START_TYPES) else None,
        "errorControl": service.error_control,
        "line": service.line,
    }
