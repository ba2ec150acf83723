"""Rules on [Version], on strings and on the file as a whole (install/inf-version-section.md)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from hwdash.drivers.inf.verify.inspection import Inspection, Problem
from hwdash.drivers.inf.version import SIGNATURES, parse_guid

SETUP_CLASSES: dict[str, str] = json.loads((Path(__file__).parent / "setup_classes.json").read_bytes())
"""Names and GUIDs of the setup classes that Microsoft defines (install/system-defined-device-setup-classes-*.md)."""

_GUID_OF = {name.lower(): guid for name, guid in SETUP_CLASSES.items()}
_NAME_OF = {guid: name for name, guid in SETUP_CLASSES.items()}
_RESERVED = frozenset({"sample", "unknown", "nodriver", "legacydriver", "adapter", "apmsupport", "printerupgrade"})
_TOKEN = re.compile(r"%([^%]*)%")
_DIRID = re.compile(r"-?[0-9]+\Z")
_CATALOG = re.compile(r'[^\\/:*?"<>|]+\.cat\Z', re.IGNORECASE)
_FIELDS = (("Provider", "provider"), ("Class", "class_name"), ("ClassGuid", "class_guid"))


def inf_1001_not_a_driver_inf(case: Inspection) -> Iterator[Problem]:
    """[Version] must be there with a Signature that Windows accepts."""
    remedy = 'Begin the file with [Version] and Signature = "$WINDOWS NT$".'
    section = case.inf.section("Version")
    if section is None:
        yield Problem(None, "There is no [Version] section, so this is not an INF for setup.", remedy)
    elif case.inf.version.signature.lower() not in SIGNATURES:
        found = case.inf.version.signature
        message = f"The Signature {found!r} is not one of an INF." if found else "[Version] has no Signature."
        yield Problem(_line(case, "Signature"), message, remedy)


def inf_1010_bad_classguid(case: Inspection) -> Iterator[Problem]:
    """ClassGuid must be a GUID in braces."""
    guid = case.inf.version.class_guid
    if guid and parse_guid(guid) is None:
        message = f"The ClassGuid {guid!r} is not a GUID in braces."
        yield Problem(_line(case, "ClassGuid"), message, "Write it as {xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}.")


def inf_1204_provider_microsoft(case: Inspection) -> Iterator[Problem]:
    """The provider must not be Microsoft."""
    if case.inf.version.provider.lower().startswith("microsoft"):
        message = f"The Provider is {case.inf.version.provider!r}."
        yield Problem(_line(case, "Provider"), message, "Name the organisation that distributes the driver.")


def inf_1209_section_defined_twice(case: Inspection) -> Iterator[Problem]:
    """A section header must not be repeated."""
    for section in case.inf.sections:
        for line in section.repeated:
            message = f"The section [{section.name}] was begun before, in line {section.line}."
            yield Problem(line, message, "Join the two, or rename one of them.")


def inf_1210_provider_not_expected(case: Inspection) -> Iterator[Problem]:
    """The provider must be the one that was asked for."""
    found = case.inf.version.provider
    if case.provider is not None and found and found != case.provider:
        message = f"The Provider is {found!r} and should be {case.provider!r}."
        yield Problem(_line(case, "Provider"), message, f"Write Provider = {case.provider}.")


def inf_1213_cat_in_sourcedisksfiles(case: Inspection) -> Iterator[Problem]:
    """The catalog must not be among the source files."""
    for section in case.inf.sections:
        if section.name.lower().partition(".")[0] == "sourcedisksfiles":
            for entry in section.entries:
                name = case.inf.substitute(entry.name)
                if name.lower().endswith(".cat"):
                    message = f"The catalog {name} is listed in [{section.name}]."
                    yield Problem(entry.line, message, "Name catalogs with CatalogFile in [Version] only.")


def inf_1214_bad_catalog_name(case: Inspection) -> Iterator[Problem]:
    """A catalog must be named name.cat, without a path."""
    for decoration, name in case.inf.version.catalog_files.items():
        if name and not _CATALOG.match(name):
            message = f"CatalogFile{decoration} names {name!r}, which is not of the form name.cat."
            yield Problem(_line(case, f"CatalogFile{decoration}"), message, "Give the file name alone, ending in .cat.")


def inf_1217_bad_version(case: Inspection) -> Iterator[Problem]:
    """The version in DriverVer must be four numbers of 16 bits, not all zero."""
    stamp = case.inf.version.driver_ver
    if stamp is None or not (stamp.date_text or stamp.version_text):
        return  # 1233 speaks of an empty directive
    if stamp.version is None or not any(stamp.version) or stamp.version_text.count(".") != 3:
        message = f"The version {stamp.version_text!r} in DriverVer is not four numbers from 0 to 65535."
        yield Problem(stamp.line, message, "Write it as w.x.y.z; let stampinf set it in the build.")


def inf_1218_bad_date(case: Inspection) -> Iterator[Problem]:
    """The date in DriverVer must be month, day and four-digit year."""
    stamp = case.inf.version.driver_ver
    if stamp is not None and (stamp.date_text or stamp.version_text) and stamp.date is None:
        message = f"The date {stamp.date_text!r} in DriverVer is not a day written as mm/dd/yyyy."
        yield Problem(stamp.line, message, "Write month, day and four-digit year; let stampinf set it in the build.")


def inf_1233_signature_directive_missing(case: Inspection) -> Iterator[Problem]:
    """What signing needs must be there: CatalogFile and DriverVer."""
    version = case.inf.version
    if not any(version.catalog_files.values()):
        remedy = "Add CatalogFile = name.cat: without it the package counts as unsigned."
        yield Problem(version.line, "[Version] has no CatalogFile.", remedy)
    stamp = version.driver_ver
    if stamp is None or not (stamp.date_text or stamp.version_text):
        remedy = "Add DriverVer = mm/dd/yyyy,w.x.y.z; stampinf does it in the build."
        yield Problem(stamp.line if stamp else version.line, "[Version] has no DriverVer.", remedy)


def inf_1234_required_directive_bad(case: Inspection) -> Iterator[Problem]:
    """Provider, Class and ClassGuid must be in [Version]."""
    for directive, field in _FIELDS:
        if not getattr(case.inf.version, field):
            message = f"[Version] has no {directive}, or an empty one."
            yield Problem(case.inf.version.line, message, f"Add {directive}.")


def inf_1235_string_token_undefined(case: Inspection) -> Iterator[Problem]:
    """Every %token% must be defined in [Strings]."""
    strings = case.inf.strings()
    for section in case.inf.sections:
        if section.name.lower().partition(".")[0] == "strings":
            continue
        for entry in section.entries:
            texts = [(entry.key or "", entry.line), *((field.text, field.line) for field in entry.values)]
            for text, line in texts:
                for name in _TOKEN.findall(text) if "%" in text else ():
                    if name and name.lower() not in strings and not _DIRID.match(name):
                        message = f"The string %{name}% is not defined in [Strings]."
                        yield Problem(line, message, "Define it; a percent sign as such is written twice (%%).")


def inf_1274_arch_token_unresolved(case: Inspection) -> Iterator[Problem]:
    """stampinf must have replaced $ARCH$."""
    for token, line in case.inf.unstamped():
        if token == "$ARCH$":  # noqa: S105 - stampinf's word, not a secret
            message = "$ARCH$ is still there: the file is a template (.inx), not an INF."
            yield Problem(line, message, "Run stampinf -a ARCHITECTURE, or build the project and submit its output.")


def inf_1280_class_name_wrong_for_guid(case: Inspection) -> Iterator[Problem]:
    """The GUID of one of Microsoft's setup classes goes with the name of that class."""
    version = case.inf.version
    name = _NAME_OF.get(version.class_guid.lower())
    if name is not None and version.class_name and version.class_name.lower() != name.lower():
        message = f"The ClassGuid is that of the class {name}; Class is {version.class_name}."
        yield Problem(_line(case, "Class"), message, f"Write Class = {name}, or correct the ClassGuid.")


def inf_1281_class_guid_wrong_for_name(case: Inspection) -> Iterator[Problem]:
    """The name of one of Microsoft's setup classes goes with the GUID of that class."""
    version = case.inf.version
    guid = _GUID_OF.get(version.class_name.lower())
    is_other = parse_guid(version.class_guid) is not None and version.class_guid.lower() not in _NAME_OF
    if guid is not None and is_other and version.class_guid.lower() != guid:
        message = f"The class {version.class_name} has the GUID {guid}; ClassGuid is {version.class_guid}."
        yield Problem(_line(case, "ClassGuid"), message, f"Write ClassGuid = {guid}, or give the class another name.")


def inf_1284_class_reserved(case: Inspection) -> Iterator[Problem]:
    """Some classes are not for vendors."""
    if case.inf.version.class_name.lower() in _RESERVED:
        message = f"The class {case.inf.version.class_name} is reserved."
        yield Problem(_line(case, "Class"), message, "Choose a class for vendors that fits the device.")


def inf_1285_classinstall32_for_system_class(case: Inspection) -> Iterator[Problem]:
    """Only a class of the vendor's own may be installed by the INF."""
    version = case.inf.version
    if version.class_name.lower() in _GUID_OF or version.class_guid.lower() in _NAME_OF:
        for section in case.inf.sections:
            name, _, decoration = section.name.lower().partition(".")
            if name == "classinstall32" and not decoration.endswith("services"):
                message = f"[{section.name}] installs the class {version.class_name}, which Microsoft defines."
                yield Problem(section.line, message, "Remove the section.")


def inf_1286_class_name_too_long(case: Inspection) -> Iterator[Problem]:
    """A class name has at most 31 characters."""
    if len(case.inf.version.class_name) > 31:
        message = f"The class name {case.inf.version.class_name} has more than 31 characters."
        yield Problem(_line(case, "Class"), message, "Shorten it.")


def inf_1324_no_pnplockdown(case: Inspection) -> Iterator[Problem]:
    """[Version] must have PnpLockdown=1."""
    version = case.inf.version
    if version.pnp_lockdown != "1":
        line = _line(case, "PnpLockdown")
        yield Problem(line, "[Version] has no PnpLockdown=1.", "Add it: it protects the driver's files from changes.")


def inf_1380_bad_extensionid(case: Inspection) -> Iterator[Problem]:
    """ExtensionId must be a GUID in braces."""
    found = case.inf.version.extension_id
    if found and parse_guid(found) is None:
        message = f"The ExtensionId {found!r} is not a GUID in braces."
        yield Problem(_line(case, "ExtensionId"), message, "Write it as {xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}.")


def inf_1381_no_extensionid(case: Inspection) -> Iterator[Problem]:
    """An extension INF must have an ExtensionId."""
    version = case.inf.version
    if version.is_extension and not version.extension_id:
        remedy = "Make a new GUID once for this extension and keep it in every later version."
        yield Problem(version.line, "The class is Extension and [Version] has no ExtensionId.", remedy)


def _line(case: Inspection, key: str) -> int:
    """The line of a directive in [Version], or of the section where that is absent."""
    entry = case.inf.first("Version", key)
    return entry.line if entry is not None else case.inf.version.line


RULES = {
    1010: inf_1010_bad_classguid,
    1204: inf_1204_provider_microsoft,
    1209: inf_1209_section_defined_twice,
    1210: inf_1210_provider_not_expected,
    1213: inf_1213_cat_in_sourcedisksfiles,
    1214: inf_1214_bad_catalog_name,
    1217: inf_1217_bad_version,
    1218: inf_1218_bad_date,
    1233: inf_1233_signature_directive_missing,
    1234: inf_1234_required_directive_bad,
    1235: inf_1235_string_token_undefined,
    1274: inf_1274_arch_token_unresolved,
    1280: inf_1280_class_name_wrong_for_guid,
    1281: inf_1281_class_guid_wrong_for_name,
    1284: inf_1284_class_reserved,
    1285: inf_1285_classinstall32_for_system_class,
    1286: inf_1286_class_name_too_long,
    1324: inf_1324_no_pnplockdown,
    1380: inf_1380_bad_extensionid,
    1381: inf_1381_no_extensionid,
}
