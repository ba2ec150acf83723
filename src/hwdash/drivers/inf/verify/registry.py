"""Rules on registry data (install/inf-addreg-directive.md, develop/driver-isolation.md)."""

from collections.abc import Iterator

from hwdash.drivers.inf.verify.inspection import Inspection, Problem, RegistryEntry

_APPEND = 0x8  # FLG_ADDREG_APPEND
_FILTERS = frozenset({"upperfilters", "lowerfilters"})
_SHARED_ROOTS = ("software\\classes\\", "software\\microsoft\\windows media foundation\\")


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


def inf_1384_extension_filter_by_registry(case: Inspection) -> Iterator[Problem]:
    """An extension INF adds filters with AddFilter."""
    if case.inf.version.is_extension:
        for entry in case.registry:
            if entry.root == "HKR" and not entry.in_service and entry.value.lower() in _FILTERS:
                message = f"The extension adds a filter by the registry value {entry.value}."
                yield Problem(entry.line, message, "Use AddFilter in the .Filters section.")


def _is_outside(entry: RegistryEntry) -> bool:
    # What COM registers below HKCR is a matter of codes 2660 and 1325.
    return entry.is_isolated and entry.root not in ("HKR", "HKCR")


def _is_below(subkey: str, roots: tuple[str, ...]) -> bool:
    return (subkey.lower().strip("\\") + "\\").startswith(roots)


RULES = {
    1304: inf_1304_absolute_registry_key,
    1305: inf_1305_multi_sz_append,
    1320: inf_1320_registry_key_not_isolated,
    1321: inf_1321_registry_value_not_isolated,
    1323: inf_1323_service_key_not_parameters,
    1384: inf_1384_extension_filter_by_registry,
}
