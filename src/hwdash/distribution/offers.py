"""Which published drivers a machine is offered for each of its devices, and by which rule it is not offered the rest.

The rules of applicability.py first; then drivers of one device are held against what it has and against each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from hwdash.distribution.applicability import (
    BETTER_OFFER,
    DELIVERY,
    EXTENSION_WINNER,
    INSTALLED,
    Candidate,
    Match,
    Rule,
    Verdict,
    judge,
)
from hwdash.distribution.machine import Device, Installed, Machine
from hwdash.distribution.ranking import Order, as_hex, order
from hwdash.wire.offers import OfferKind


class Offered(NamedTuple):
    """A driver that the device is offered."""

    candidate: Candidate
    match: Match
    kind: OfferKind


class Refused(NamedTuple):
    """A driver that it is not offered, the rule that refused it, and why here."""

    candidate: Candidate
    match: Match
    rule: Rule
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """What there is for one device; best first."""

    device: Device
    offers: list[Offered]
    refused: list[Refused]


class _Applicable(NamedTuple):
    candidate: Candidate
    match: Match
    verdict: Verdict

    @property
    def order(self) -> tuple[int, Order]:
        return self.verdict.chid_level, order(self.match.rank, self.candidate.ver)

    @property
    def preference(self) -> tuple[tuple[int, Order], int, str, str]:
        """``order``; of equal drivers, of which Windows may take any, always the same one."""
        return self.order, self.candidate.label_id, self.candidate.bundle_id, self.candidate.inf_id


def offers(machine: Machine, candidates: Sequence[Candidate], now: datetime) -> list[Found]:
    """What each device of the machine is offered, in their order. A driver that matches a device in no id is none of
    what is refused for it.
    """
    by_id: dict[str, list[int]] = {}
    for number, candidate in enumerate(candidates):
        for pnp_id in {each.hardware_id for each in candidate.ids}:
            by_id.setdefault(pnp_id, []).append(number)
    found = []
    for device in machine.devices:
        ids = (*device.hardware_ids, *device.compatible_ids)
        numbers = sorted({number for each in ids for number in by_id.get(each, ())})
        found.append(_for_device(machine, device, [candidates[number] for number in numbers], now))
    return found


def _for_device(machine: Machine, device: Device, candidates: Sequence[Candidate], now: datetime) -> Found:
    refused: list[Refused] = []
    bases: list[_Applicable] = []
    extensions: dict[str, list[_Applicable]] = {}
    for candidate in candidates:
        verdict = judge(machine, device, candidate, now)
        if verdict.match is None:
            continue
        if verdict.rule is not None:
            refused.append(Refused(candidate, verdict.match, verdict.rule, verdict.reason))
            continue
        applicable = _Applicable(candidate, verdict.match, verdict)
        if candidate.extension_id is None:
            bases.append(applicable)
        else:
            extensions.setdefault(candidate.extension_id.casefold(), []).append(applicable)
    offered = _base_drivers(device, bases, refused)
    for extension_id, group in sorted(extensions.items()):
        offered += _extension(device, extension_id, group, refused)
    offered.sort(
        key=lambda each: (each.kind != OfferKind.AUTOMATIC, each.candidate.extension_id or "", each.match.rank)
    )
    refused.sort(key=lambda each: (order(each.match.rank, each.candidate.ver), each.candidate.label_id))
    return Found(device, offered, refused)


def _base_drivers(device: Device, found: list[_Applicable], refused: list[Refused]) -> list[Offered]:
    automatic = [each for each in found if each.verdict.kind == OfferKind.AUTOMATIC and not each.verdict.is_fallback]
    fallback = [each for each in found if each.verdict.is_fallback]
    if automatic:
        best = min(automatic, key=lambda each: each.preference)
        reason = f"The label is a manual one, and there is an automatic driver: {_named(best)}."
        refused += [Refused(each.candidate, each.match, DELIVERY, reason) for each in fallback]
    winner = _winner(device, automatic or fallback, None, refused)
    optional = [each for each in found if each.verdict.kind == OfferKind.OPTIONAL]
    choice = _winner(device, optional, winner, refused)
    return [
        Offered(each.candidate, each.match, kind)
        for each, kind in ((winner, OfferKind.AUTOMATIC), (choice, OfferKind.OPTIONAL))
        if each is not None
    ]


def _winner(
    device: Device, found: list[_Applicable], automatic: _Applicable | None, refused: list[Refused]
) -> _Applicable | None:
    """The best of some drivers that is better than what the device has and than the automatic one that it gets."""
    left = []
    for each in sorted(found, key=lambda each: each.preference):
        if device.installed is not None and not _is_better(each, device.installed):
            refused.append(Refused(each.candidate, each.match, INSTALLED, _not_better(each, device.installed)))
        else:
            left.append(each)
    best = automatic
    if left and (automatic is None or left[0].order < automatic.order):
        best = left.pop(0)
    for each in left:
        if best is not None:
            reason = f"{_described(each)} is not better than the offer of {_named(best)}."
            refused.append(Refused(each.candidate, each.match, BETTER_OFFER, reason))
    return None if best is automatic else best


def _is_better(each: _Applicable, installed: Installed) -> bool:
    known = each.match.rank if installed.rank is None else installed.rank
    return order(each.match.rank, each.candidate.ver) < order(known, installed.ver)


def _not_better(each: _Applicable, installed: Installed) -> str:
    known = "of unknown rank" if installed.rank is None else f"of rank {as_hex(installed.rank)}"
    return f"{_described(each)} is not better than the installed {installed.ver}, {known}."


def _extension(device: Device, extension_id: str, found: list[_Applicable], refused: list[Refused]) -> list[Offered]:
    """The newest extension INF of an ExtensionId, when it is newer than the one that the device has."""
    found.sort(key=lambda each: each.preference)
    best = max(found, key=lambda each: each.candidate.ver.key)
    installed = max((ver for each, ver in device.extensions if each == extension_id), key=lambda v: v.key, default=None)
    offered = []
    for each in found:
        ver = each.candidate.ver
        if installed is not None and ver.key <= installed.key:
            reason = f"The extension {ver} is not newer than the installed {installed}."
            refused.append(Refused(each.candidate, each.match, INSTALLED, reason))
        elif each is best:
            offered.append(Offered(each.candidate, each.match, OfferKind.AUTOMATIC))
        else:
            reason = f"The extension {ver} is not newer than the offer of {_named(best)}, of the same ExtensionId."
            refused.append(Refused(each.candidate, each.match, EXTENSION_WINNER, reason))
    return offered


def _described(each: _Applicable) -> str:
    return f"{each.candidate.ver}, of rank {as_hex(each.match.rank)},"


def _named(each: _Applicable) -> str:
    ver = each.candidate.ver
    return f"label {each.candidate.label_id} ({each.candidate.inf_id} {ver}, rank {as_hex(each.match.rank)})"
