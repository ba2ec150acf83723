"""Which hardware ids a shipping label targets, chosen from what the driver holds (contract/api.md 3.12 and 3.13)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwdash.sdk.errors import NothingSelected, SdkError

MOST_NAMED = 20
"""How many of the ids there were to choose from an error names."""

_KINDS = {
    "bundles": ("bundleId", "bundles"),
    "infs": ("infId", "INFs"),
    "os_codes": ("operatingSystemCode", "OS codes"),
    "hardware_ids": ("pnpString", "hardware ids"),
}

HardwareId = dict[str, str]
"""An entry of ``targeting.hardwareIds``, as it goes over the wire."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is chosen: of each kind any of the names, in any case; a kind without names leaves all of it in."""

    bundles: Sequence[str] = ()
    infs: Sequence[str] = ()
    os_codes: Sequence[str] = ()
    hardware_ids: Sequence[str] = ()

    @property
    def is_all(self) -> bool:
        """Nothing is left out."""
        return not any(getattr(self, kind) for kind in _KINDS)

    def choose(self, entries: Iterable[HardwareId], where: str) -> list[HardwareId]:
        """The entries that are chosen. ``where`` says in a message what they are of, such as "the driver".

        Raises NothingSelected when a name is none of theirs, or no entry is left; it says what there is.
        """
        there = list(entries)
        if not there:
            raise NothingSelected(f"There is no hardware id to choose from in {where}.")
        wanted = {key: [name.strip() for name in getattr(self, kind)] for kind, (key, _) in _KINDS.items()}
        known = {key: {entry[key].casefold() for entry in there} for key in wanted}
        unknown = [
            f"There is no {name} among the {shown} of {where}: {_named(entry[key] for entry in there)}."
            for key, shown in _KINDS.values()
            for name in wanted[key]
            if name.casefold() not in known[key]
        ]
        if unknown:
            raise NothingSelected("\n".join(unknown))
        folded = {key: {name.casefold() for name in names} for key, names in wanted.items() if names}
        chosen = [entry for entry in there if all(entry[key].casefold() in names for key, names in folded.items())]
        if not chosen:
            lines = [f"  {shown}: {_named(entry[key] for entry in there)}" for key, shown in _KINDS.values()]
            raise NothingSelected("\n".join([f"No hardware id of {where} is all of that at once. It has", *lines]))
        return chosen


def hardware_ids(metadata: Mapping[str, Any]) -> list[HardwareId]:
    """Every hardware id that a label of this driver can target. Raises SdkError when it is no driver metadata."""
    try:
        return list(_entries(metadata))
    except (AttributeError, KeyError, TypeError) as error:
        raise SdkError("the service's driver metadata has not the documented form") from error


def _entries(metadata: Mapping[str, Any]) -> Iterator[HardwareId]:
    for bundle, content in metadata["BundleInfoMap"].items():
        for inf, info in content["InfInfoMap"].items():
            for code, devices in info["OSPnPInfoMap"].items():
                for pnp in devices:
                    # In lower case, as the service's own team advises.
                    entry = (bundle, inf, code, pnp.lower())
                    yield dict(zip((key for key, _ in _KINDS.values()), entry, strict=True))


def _named(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(names))
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"{', '.join(found[:MOST_NAMED])}{more}"
