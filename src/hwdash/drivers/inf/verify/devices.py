"""Rules on [Manufacturer], Models and install sections (install/inf-manufacturer-section.md, inf-models-section.md)."""

import re
from collections.abc import Iterator

from hwdash.drivers.inf.models import UNDECORATED
from hwdash.drivers.inf.verify.inspection import Inspection, Problem

_OLDEST_BUILD = (10, 0, 14310)
_BYTE = re.compile(r"(?:0x)?[0-9a-f]{1,2}\Z", re.IGNORECASE | re.ASCII)
_NO_SERVICE_NEEDED = frozenset({"printer", "netservice", "nettrans", "netclient"})


def inf_1011_manufacturer_without_models(case: Inspection) -> Iterator[Problem]:
    """A line of [Manufacturer] must name a Models section."""
    for manufacturer in case.manufacturers:
        if not manufacturer.models[0].name:
            message = f"The manufacturer {manufacturer.name!r} has no Models section."
            yield Problem(manufacturer.line, message, "Write %Name% = Models, NTamd64.10.0...16299 or the like.")


def inf_1203_section_not_found(case: Inspection) -> Iterator[Problem]:
    """A section that the INF refers to must be in it."""
    for manufacturer in case.manufacturers:
        for models in manufacturer.models[1:]:
            if models.target is not None and case.inf.section(models.name) is None:
                message = f"The Models section [{models.name}] does not exist."
                yield Problem(manufacturer.line, message, "Add it, or take its decoration out of the line.")
    for reference in case.outline.references:
        # 2006 speaks of services, 1315 and 1319 of what is needed.
        if (
            reference.kind == "service"
            or reference.directive == "Needs"
            or case.inf.section(reference.target) is not None
        ):
            continue
        if not case.leans_on_included(reference.section):
            message = f"{reference.entry.key} names the section [{reference.target}], which does not exist."
            yield Problem(reference.entry.line, message, "Add the section or correct its name.")


def inf_1245_bad_feature_score(case: Inspection) -> Iterator[Problem]:
    """FeatureScore is one byte in hexadecimal."""
    for install in case.device_installs:
        for entry in case.inf.entries(install.section, "FeatureScore"):
            score = case.inf.substitute(entry.value(0))
            if not _BYTE.match(score):
                message = f"The FeatureScore {score!r} is not a hexadecimal number from 00 to FF."
                yield Problem(entry.line, message, "Write two hexadecimal digits.")


def inf_1261_install_section_missing(case: Inspection) -> Iterator[Problem]:
    """The install section that a device names must exist for its architecture."""
    for listed in case.devices:
        name = listed.device.install_section
        if name and listed.install is None:
            where = f"[{name}.NT{listed.architecture}], [{name}.NT] or [{name}]"
            message = f"The device {listed.device.description!r} has no install section: there is no {where}."
            yield Problem(listed.device.line, message, "Add the section or correct its name.")


def inf_1271_models_install_section_missing(case: Inspection) -> Iterator[Problem]:
    """A device must name an install section."""
    for listed in case.devices:
        if not listed.device.install_section:
            message = f"The device {listed.device.description!r} names no install section."
            yield Problem(listed.device.line, message, "Write description = install section, hardware ID.")


def inf_1287_bad_target_os(case: Inspection) -> Iterator[Problem]:
    """A decoration must be readable."""
    for manufacturer in case.manufacturers:
        for models in manufacturer.models:
            if models.target is None and "$" not in models.decoration:
                message = f"{models.decoration!r} is not a TargetOSVersion decoration."
                remedy = (
                    "Write NT, an architecture, and optionally .major.minor.type.suite.build: NTamd64.10.0...16299."
                )
                yield Problem(manufacturer.line, message, remedy)


def inf_1288_build_number_too_low(case: Inspection) -> Iterator[Problem]:
    """Only Windows 10 from build 14310 on understands a build number in a decoration."""
    for manufacturer in case.manufacturers:
        for models in manufacturer.models:
            target = models.target
            if target is None or target.build is None:
                continue
            if (*(target.version or (0, 0)), target.build) < _OLDEST_BUILD:
                message = f"The decoration {models.decoration} has a build number below 10.0.14310."
                yield Problem(manufacturer.line, message, "Leave the build number out, or raise it.")


def inf_1296_no_associated_service(case: Inspection) -> Iterator[Problem]:
    """A device's install section needs a .Services section, even one that says there is no service."""
    version = case.inf.version
    if version.is_extension or version.class_name.lower() in _NO_SERVICE_NEEDED:
        return
    for install in case.device_installs:
        services = f"{install.section}.Services"
        if case.inf.section(services) is None and not case.leans_on_included(install.section):
            section = case.inf.section(install.section)
            message = f"The install section [{install.section}] has no [{services}]."
            remedy = "Add it with the device's AddService; AddService = ,2 says that the device has no service."
            yield Problem(section.line if section else None, message, remedy)


def inf_1297_no_devices(case: Inspection) -> Iterator[Problem]:
    """An INF for devices must list at least one."""
    if case.default_install_is_unstamped:
        return
    if not case.default_installs and not any(listed.device.ids for listed in case.devices):
        if any(models.target is None for manufacturer in case.manufacturers for models in manufacturer.models):
            return  # what 1274 and 1287 say comes first
        message = "The INF lists no hardware ID."
        remedy = "List devices under [Manufacturer], or make it a primitive driver with [DefaultInstall.NTamd64]."
        yield Problem(None, message, remedy)


def inf_2010_implicit_x86(case: Inspection) -> Iterator[Problem]:
    """A Models section without architecture is for x86, and better says so."""
    for manufacturer in case.manufacturers:
        for models in manufacturer.models:
            if models.target is None or models.target.architecture is not None:
                continue
            if case.inf.entries(models.name):
                what = "no decoration" if models.target == UNDECORATED else f"the decoration {models.decoration}"
                message = f"The Models section [{models.name}] has {what}: it is taken as one for x86."
                yield Problem(manufacturer.line, message, "Decorate it with an architecture, NTamd64 for example.")


RULES = {
    1011: inf_1011_manufacturer_without_models,
    1203: inf_1203_section_not_found,
    1245: inf_1245_bad_feature_score,
    1261: inf_1261_install_section_missing,
    1271: inf_1271_models_install_section_missing,
    1287: inf_1287_bad_target_os,
    1288: inf_1288_build_number_too_low,
    1296: inf_1296_no_associated_service,
    1297: inf_1297_no_devices,
    2010: inf_2010_implicit_x86,
}
