"""What labels target: the hardware ids that packages have, and CHIDs, as clients name them."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from hwdash.vocabulary import operating_system

REQUIRED = "This property is required"
LONGEST_QUOTED = 100

Finding = tuple[str, str]
"""The path of a property as clients write it, and what is wrong with it."""
Findings = Iterator[Finding]


class DriverRow(NamedTuple):
    """A hardware id that a package has: the INF's name as the metadata spells it, ``hardware_id`` in lower case."""

    bundle_id: str
    inf_id: str
    os_code: str
    hardware_id: str


Entry = tuple[str, str, str, str, str]
"""An entry of ``targeting.hardwareIds``: bundle id, INF, OS code, pnp id in lower case, action; "" where it is absent
or no text."""


@dataclass(frozen=True, slots=True)
class TargetChanges:
    """What becomes of the targets of a label: the state that each gets; ``new`` and ``new_chids`` are not on it yet."""

    new: Sequence[DriverRow] = ()
    changed: Mapping[DriverRow, str] = field(default_factory=dict)
    new_chids: Sequence[str] = ()
    changed_chids: Mapping[str, str] = field(default_factory=dict)
    dropped_chids: Sequence[str] = ()

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return any((self.new, self.changed, self.new_chids, self.changed_chids, self.dropped_chids))


def spelt_rows(
    entries: Sequence[Entry], infs: Mapping[tuple[str, str], str]
) -> tuple[list[DriverRow | None], list[Finding]]:
    """The rows that entries name, in the metadata's spelling; None where one cannot be any, with what is wrong.

    ``infs`` are the submission's INFs by bundle id and name in lower case.
    """
    bundles = {bundle for bundle, _ in infs}
    rows: list[DriverRow | None] = []
    found: list[Finding] = []
    # Of tens of thousands of entries few differ in more than the hardware id.
    spellings: dict[tuple[str, str, str], str | None] = {}
    for place, (bundle, inf, os_code, hardware_id, _) in enumerate(entries):
        named = (bundle, inf, os_code)
        if named not in spellings:
            spellings[named] = infs.get((bundle, inf.lower())) if _is_os_code(os_code) else None
        spelling = spellings[named]
        if spelling is not None and hardware_id:
            rows.append(DriverRow(bundle, spelling, os_code, hardware_id))
            continue
        rows.append(None)
        at = f"targeting.hardwareIds[{place}]"
        given = {"bundleId": bundle, "infId": inf, "operatingSystemCode": os_code, "pnpString": hardware_id}
        found += [(f"{at}.{name}", f"{REQUIRED}.") for name, value in given.items() if not value]
        if bundle and bundle not in bundles:
            found.append((f"{at}.bundleId", f"The driver metadata has no bundle `{quoted(bundle)}`."))
        elif bundle and inf and (bundle, inf.lower()) not in infs:
            found.append((f"{at}.infId", f"The driver metadata has no INF `{quoted(inf)}` in this bundle."))
        if os_code and not _is_os_code(os_code):
            found.append((f"{at}.operatingSystemCode", f"The OS code `{quoted(os_code)}` is invalid."))
    return rows, found


def unknown_rows(rows: Sequence[DriverRow | None], known: AbstractSet[DriverRow]) -> Findings:
    """Which rows the submission does not have."""
    for place, row in enumerate(rows):
        if row is not None and row not in known:
            yield (
                f"targeting.hardwareIds[{place}].pnpString",
                f"The driver metadata has no `{quoted(row.hardware_id)}` of {quoted(row.inf_id)} for {row.os_code}.",
            )


def chid_findings(chids: Sequence[str]) -> Findings:
    """What is wrong with CHIDs."""
    for place, chid in enumerate(chids):
        if not chid:
            yield f"targeting.chids[{place}].chid", f"{REQUIRED}."
        elif not _is_guid(chid):
            yield f"targeting.chids[{place}].chid", f"`{quoted(chid)}` is no GUID."


def _is_os_code(text: str) -> bool:
    return operating_system(text, accept_new=True) is not None


def _is_guid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def quoted(text: str | None) -> str:
    """What a client sent, for a message: a long text is cut."""
    text = text or ""
    return text if len(text) <= LONGEST_QUOTED else f"{text[:LONGEST_QUOTED]}..."
