"""How ``hwdash inf show`` shows to people what is in an INF."""

from collections.abc import Iterator
from typing import Any

from hwdash.cli.inf_reports import printable


def contents_for_people(found: dict[str, Any]) -> Iterator[str]:
    """The lines of ``hwdash.drivers.inf.contents.contents``, indented by what belongs to what."""
    yield f"{found['file']} ({found['encoding']})"
    for token in dict.fromkeys(each["token"] for each in found["unstamped"]):
        yield f"  not stamped: {token}"
    yield from map(printable, _body(found))


def _body(found: dict[str, Any]) -> Iterator[str]:
    version = found["version"]
    yield "version"
    for label, key in (
        ("signature", "signature"), ("class", "class"), ("class GUID", "classGuid"), ("provider", "provider"),
        ("driver date", "driverDate"), ("driver version", "driverVersion"), ("extension ID", "extensionId"),
    ):  # fmt: skip
        if version[key]:
            yield f"  {label}: {version[key]}"
    for catalog in version["catalogFiles"]:
        decoration = f" for {catalog['decoration']}" if catalog["decoration"] else ""
        yield f"  catalog{decoration}: {catalog['name']}"
    yield f"  PnpLockdown: {'yes' if version['pnpLockdown'] else 'no'}"
    for manufacturer in found["manufacturers"]:
        yield f"manufacturer {manufacturer['name']}"
        for models in manufacturer["models"]:
            yield f"  [{models['section']}] {_target(models)}"
            for device in models["devices"]:
                yield f"    {device['description']} -> [{device['installSection']}]"
                yield from (f"      hardware ID {each}" for each in device["hardwareIds"])
                yield from (f"      compatible ID {each}" for each in device["compatibleIds"])
    for install in found["installSections"]:
        yield from _install(install)
    for language in found["languages"]:
        name = f" {language['languageId']} {language['name'] or ''}".rstrip() if language["languageId"] else ""
        yield f"strings{name}: {language['strings']} in [{language['section']}]"


def _target(models: dict[str, Any]) -> str:
    if not models["isDecoration"]:
        return f"({models['decoration']} is no decoration)"
    labels = (
        ("Windows", "osVersion"),
        ("product type", "productType"),
        ("suite mask", "suiteMask"),
        ("build", "build"),
    )
    parts = [models["architecture"], *(f"{label} {models[key]}" for label, key in labels if models[key] is not None)]
    if not models["isPresent"]:
        parts.append("not there")
    elif not models["devices"]:
        parts.append("empty")
    return f"({', '.join(parts)})"


def _install(install: dict[str, Any]) -> Iterator[str]:
    yield f"install section [{install['section']}] ({install['architecture'] or 'every architecture'})"
    if install["featureScore"] is not None:
        yield f"  feature score {install['featureScore']}"
    yield from (f"  not for {each}" for each in install["excludedIds"])
    yield from (f"  part [{each}]" for each in install["parts"])
    yield from (f"  [{each['section']}] includes {each['file']}" for each in install["includes"])
    for each in install["needs"]:
        yield f"  [{each['section']}] needs [{each['needs']}]{'' if each['isHere'] else ' of another INF'}"
    for service in install["services"]:
        start = service["start"] or ("?" if service["startType"] is None else service["startType"])
        flags = "?" if service["flags"] is None else f"{service['flags']:#x}"
        binary = service["binary"] or "no binary"
        yield f"  service {service['name'] or '(none)'}: {binary}, start {start}, flags {flags}"
    for file in install["files"]:
        inside = f" in {file['cabinet']}" if file["cabinet"] else ""
        yield f"  file {file['source']}{inside} -> {file['destination']}"
