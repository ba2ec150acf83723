"""Rules on where in the registry an INF writes, and on what may stand there.

Sources: install/inf-addreg-directive.md, develop/driver-isolation.md, develop/porting-inf-to-windows-driver.md,
audio/implementing-audio-processing-objects.md.
"""

import re
from collections.abc import Iterator

from hwdash.drivers.inf.verify.inspection import Inspection, Problem, RegistryEntry, number

_APPEND = 0x8  # FLG_ADDREG_APPEND
_FILTERS = frozenset({"upperfilters", "lowerfilters"})
_SHARED_ROOTS = ("software\\classes\\", "software\\microsoft\\windows media foundation\\")
_ROOTS = frozenset({"HKCR", "HKCU", "HKLM", "HKU", "HKR"})
_WINDOWS = re.compile(r"(?<![a-z0-9])[a-z]:\\windows(?![a-z0-9_])", re.IGNORECASE | re.ASCII)
_SYSTEM_DIRID = re.compile(r"%(1[0-2])%")
_COM_CLASSES = "clsid\\"
_BINARY = 0x1  # FLG_ADDREG_BINVALUETYPE: the data is no text
_COM_SERVER = re.compile(
    r"(?:software\\)?(?:classes\\)?(?:wow6432node\\)?clsid\\[^\\]+\\(local_?server(?:32)?|inproc(?:handler(?:32)?|server))(?:\\|\Z)",
    re.IGNORECASE | re.ASCII,
)
_APO_KEY = "audioengine\\audioprocessingobjects\\"
_FILTER_PROPERTIES: dict[tuple[str, int | None], str] = {
    ("{a45c254e-df1c-4efd-8020-67d146a850e0}", 19): "DEVPKEY_Device_UpperFilters",
    ("{a45c254e-df1c-4efd-8020-67d146a850e0}", 20): "DEVPKEY_Device_LowerFilters",
}


def inf_1222_registry_key_forbidden_hklm(case: Inspection) -> Iterator[Problem]:
    """Of the system hive an INF may write the current control set only."""
    for entry in case.registry:
        hive, _, rest = entry.subkey.strip("\\").lower().partition("\\")
        if entry.root == "HKLM" and hive == "system" and rest and rest.partition("\\")[0] != "currentcontrolset":
            message = f"HKLM\\{entry.subkey} is written, outside of HKLM\\SYSTEM\\CurrentControlSet."
            yield Problem(entry.line, message, "Write it below HKR.")


def inf_1224_registry_root_unknown(case: Inspection) -> Iterator[Problem]:
    """A registry entry begins with the abbreviation of a root."""
    for entry in case.registry:
        # An undefined token is a matter of code 1235; that the long names are refused is not documented.
        if entry.root not in _ROOTS and "%" not in entry.root and not entry.root.startswith("HKEY_"):
            message = f"{entry.root!r} is not a root of the registry."
            yield Problem(entry.line, message, "Write HKR, or one of HKCR, HKCU, HKLM and HKU.")


def inf_1226_registry_security_not_allowed(case: Inspection) -> Iterator[Problem]:
    """Values directly below HKR keep the security of their key."""
    for entry in case.registry:
        is_direct = entry.root == "HKR" and not entry.subkey.strip("\\")
        security = case.inf.section(f"{entry.section}.security") if is_direct else None
        if security is not None:
            message = f"[{security.name}] is applied to the value {entry.value!r} directly below HKR."
            remedy = "Move the value to a subkey or to another section, or remove the .security section."
            yield Problem(entry.line, message, remedy)


def inf_1257_windows_dir_literal(case: Inspection) -> Iterator[Problem]:
    """Registry data does not spell the Windows directory out."""
    for entry in case.registry:
        found = next((found for found in map(_WINDOWS.search, _texts(entry)) if found), None)
        if found is not None:
            message = f"The value {entry.value!r} spells the Windows directory out, {found[0]}."
            yield Problem(entry.line, message, "Write %%SystemRoot%% instead, with the flags 0x00020000.")


def inf_1258_dirid_path_in_registry(case: Inspection) -> Iterator[Problem]:
    """A path to the Windows directory is stored so that it is resolved when it is read, not when the INF is."""
    for entry in case.registry:
        found = next((found for found in map(_SYSTEM_DIRID.search, _texts(entry)) if found), None)
        # Signed INFs that count as declarative register COM servers so.
        if found is not None and _COM_CLASSES not in entry.subkey.lower():
            message = f"The value {entry.value!r} stores a path below {found[0]}, which is resolved too early."
            place = {"10": "", "11": r"\System32", "12": r"\System32\drivers"}[found[1]]
            yield Problem(entry.line, message, f"Write %%SystemRoot%%{place} instead, with the flags 0x00020000.")


def inf_1304_absolute_registry_key(case: Inspection) -> Iterator[Problem]:
    """Registry data goes below the driver's own keys (HKR); COM and Media Foundation registration may go elsewhere."""
    for entry in case.registry:
        is_shared = entry.root == "HKCR" or (entry.root == "HKLM" and _is_below(entry.subkey, _SHARED_ROOTS))
        if entry.root != "HKR" and not is_shared:
            message = f"Registry data is written below {entry.root}\\{entry.subkey}."
            yield Problem(entry.line, message, "Write it below HKR.")


def inf_1305_multi_sz_append(case: Inspection) -> Iterator[Problem]:
    """Appending to a list of strings gives a result that depends on what was installed before."""
    for entry in case.registry:
        if entry.flags & _APPEND and not (case.inf.version.is_extension and entry.value.lower() in _FILTERS):
            message = f"The value {entry.value} is appended to."
            yield Problem(entry.line, message, "Write the value as a whole; add filters with AddFilter.")


def inf_1320_registry_key_not_isolated(case: Inspection) -> Iterator[Problem]:
    """A Windows driver makes registry keys below HKR only."""
    for entry in case.registry:
        if _is_outside(entry) and not entry.value and not entry.data:
            yield Problem(entry.line, f"The key {entry.root}\\{entry.subkey} is outside HKR.", "Make it below HKR.")


def inf_1321_registry_value_not_isolated(case: Inspection) -> Iterator[Problem]:
    """A Windows driver writes registry values below HKR only."""
    for entry in case.registry:
        if _is_outside(entry) and (entry.value or entry.data):
            message = f"The value {entry.value!r} below {entry.root}\\{entry.subkey} is outside HKR."
            yield Problem(entry.line, message, "Write it below HKR.")


def inf_1323_service_key_not_parameters(case: Inspection) -> Iterator[Problem]:
    """A Windows driver keeps its service's data below the Parameters key."""
    for entry in case.registry:
        if (
            entry.is_isolated
            and entry.in_service
            and entry.root == "HKR"
            and not _is_below(entry.subkey, ("parameters\\",))
        ):
            message = f"Data of a service is written to HKR\\{entry.subkey}, not below Parameters."
            yield Problem(entry.line, message, "Move it to HKR,Parameters.")


def inf_1325_com_registration_unsupported(case: Inspection) -> Iterator[Problem]:
    """A driver registers COM servers that run in their client's process."""
    for entry in case.registry:
        found = _COM_SERVER.match(entry.subkey.strip("\\"))
        if found and entry.root in ("HKCR", "HKLM", "HKR"):
            message = f"A COM class is registered as {found[1]}; only InprocServer32 is supported."
            yield Problem(entry.line, message, "Register an in-process server, best with AddComServer.")


def inf_1329_filter_by_registry(case: Inspection) -> Iterator[Problem]:
    """A Windows driver adds filters with AddFilter."""
    remedy = "Use AddFilter in the .Filters section."
    for entry in case.registry:
        is_filter = entry.root == "HKR" and not entry.subkey and entry.value.lower() in _FILTERS
        if is_filter and entry.is_isolated and not entry.in_service:
            yield Problem(entry.line, f"A filter is added by the registry value {entry.value}.", remedy)
    seen: set[str] = set()
    for directive in case.directives:
        if directive.key != "addproperty" or not directive.is_isolated:
            continue
        for name in case.inf.values(directive.entry):
            if name.lower() in seen:
                continue
            seen.add(name.lower())
            for line in case.inf.entries(name):
                category, identifier, *_ = [*case.inf.values(line), ""]
                known = _FILTER_PROPERTIES.get((category.lower(), number(identifier)))
                if known is not None:
                    yield Problem(line.line, f"A filter is added by the property {known}.", remedy)


def inf_1384_extension_filter_by_registry(case: Inspection) -> Iterator[Problem]:
    """An extension INF adds filters with AddFilter."""
    if case.inf.version.is_extension:
        for entry in case.registry:
            if entry.root == "HKR" and not entry.in_service and entry.value.lower() in _FILTERS:
                message = f"The extension adds a filter by the registry value {entry.value}."
                yield Problem(entry.line, message, "Use AddFilter in the .Filters section.")


def inf_2660_hkcr_not_isolated(case: Inspection) -> Iterator[Problem]:
    """A Windows driver registers audio processing objects below HKR."""
    for entry in case.registry:
        if entry.is_isolated and entry.root == "HKCR" and _is_below(entry.subkey, (_APO_KEY,)):
            message = f"An audio processing object is registered below HKCR\\{entry.subkey}."
            yield Problem(entry.line, message, f"Write it to HKR,{entry.subkey}.")


def inf_2661_apo_key_class(case: Inspection) -> Iterator[Problem]:
    """The registration of an audio processing object belongs into an INF of that class."""
    if case.inf.version.class_name.lower() in ("audioprocessingobject", "extension"):
        return  # which class of devices an extension is for is not in it
    for entry in case.registry:
        if entry.is_isolated and entry.root == "HKR" and _is_below(entry.subkey, (_APO_KEY,)):
            message = f"HKR\\{entry.subkey} is written by an INF of the class {case.inf.version.class_name}."
            remedy = "Make the audio processing object a component with an INF of the class AudioProcessingObject."
            yield Problem(entry.line, message, remedy)


def _texts(entry: RegistryEntry) -> tuple[str, ...]:
    return () if entry.flags & _BINARY else entry.data


def _is_outside(entry: RegistryEntry) -> bool:
    # What COM registers below HKCR is a matter of codes 2660 and 1325.
    return entry.is_isolated and entry.root not in ("HKR", "HKCR")


def _is_below(subkey: str, roots: tuple[str, ...]) -> bool:
    return (subkey.lower().strip("\\") + "\\").startswith(roots)


RULES = {
    1222: inf_1222_registry_key_forbidden_hklm,
    1224: inf_1224_registry_root_unknown,
    1226: inf_1226_registry_security_not_allowed,
    1257: inf_1257_windows_dir_literal,
    1258: inf_1258_dirid_path_in_registry,
    1304: inf_1304_absolute_registry_key,
    1305: inf_1305_multi_sz_append,
    1320: inf_1320_registry_key_not_isolated,
    1321: inf_1321_registry_value_not_isolated,
    1323: inf_1323_service_key_not_parameters,
    1325: inf_1325_com_registration_unsupported,
    1329: inf_1329_filter_by_registry,
    1384: inf_1384_extension_filter_by_registry,
    2660: inf_2660_hkcr_not_isolated,
    2661: inf_2661_apo_key_class,
}
