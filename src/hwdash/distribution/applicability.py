"""May this published driver be offered to this machine? The rules in their order, each with its documented source.

A rule of the first group looks at the ids that a label targets, and narrows them to those that are left; the label is
refused by the rule that leaves none. The last rules compare drivers of one device with each other (offers.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from hwdash.distribution.machine import Device, Machine
from hwdash.distribution.ranking import DriverVer, identifier_score, rank
from hwdash.distribution.releases import (
    NEWEST_BUILD,
    RS2,
    RS3,
    RS3_WITH_EXTENSIONS,
    VB,
    keeps_ceiling,
    offers_forward,
    reaches_floor,
    system_of,
)
from hwdash.domain.audience import TEST_REGISTRY_KEY
from hwdash.domain.rollout import is_co_engineered, percent_at
from hwdash.vocabulary import LIVE_STATES, DistributionState, LabelStep
from hwdash.wire.base import rfc3339
from hwdash.wire.offers import OfferKind

_AFTER_ROLLOUT = (LabelStep.PUBLISHING, LabelStep.FINALIZE_PUBLISHING)


class Rule(NamedTuple):
    """A rule by its stable name, where it is documented, and what it asks for."""

    name: str
    source: str
    meaning: str


@dataclass(frozen=True, slots=True)
class TargetedId:
    """One row of a label's targeting, with what the driver says of that id. ``run``: the label's run that added it."""

    hardware_id: str
    os_code: str
    state: str = DistributionState.ADDED
    run: int = 1
    feature_score: int | None = None
    position: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A driver INF that a label targets: ``ids`` are the rows that any device of the machine has.

    ``live_targeting`` is what machines see of the label's targeting, None while nothing of it is offered. ``chids`` are
    in lower case, None where the label is for all computers; those that the machine has not may be left out.
    ``audiences`` are the names of those that it is restricted to, by their ids, as far as they are known.
    ``may_be_told``: whether the caller may see the label, or only what it offers.
    """

    label_id: int
    label_name: str | None
    product_id: int
    submission_id: int
    bundle_id: str
    inf_id: str
    ver: DriverVer
    ids: tuple[TargetedId, ...]
    specifications: Mapping[str, Any] = field(default_factory=dict)
    live_targeting: Mapping[str, Any] | None = field(default_factory=dict)
    chids: frozenset[str] | None = None
    audiences: Mapping[str, frozenset[str]] = field(default_factory=dict)
    extension_id: str | None = None
    is_flight_signed: bool = False
    run: int = 1
    rollout: Mapping[str, Any] | None = None
    step: str = LabelStep.MICROSOFT_APPROVAL
    state: str = "started"
    may_be_told: bool = True

    @property
    def is_automatic(self) -> bool:
        """It is pushed to all systems that it applies to."""
        return bool(self.specifications.get("isAutoInstallOnApplicableSystems"))

    @property
    def is_for_upgrades(self) -> bool:
        """It is installed during an upgrade of Windows."""
        return bool(self.specifications.get("isAutoInstallDuringOSUpgrade"))

    @property
    def is_manual(self) -> bool:
        """Nobody gets it unasked."""
        return not (self.is_automatic or self.is_for_upgrades)

    def targeted(self, group: str, name: str) -> Any:
        """A property of a group of what machines see of the targeting; None when it is absent or empty."""
        found = ((self.live_targeting or {}).get(group) or {}).get(name)
        return None if found in ("", None) else found


class Match(NamedTuple):
    """The id by which a driver matches a device, and its rank by that."""

    rank: int
    target: TargetedId


class Verdict(NamedTuple):
    """What is found of a driver for a device: it is refused by ``rule``, or offered in that way.

    ``is_fallback``: only as long as there is no automatic driver. ``chid_level``: the place of the machine's CHID that
    the label names, behind all of them when it names none.
    """

    match: Match | None
    rule: Rule | None = None
    reason: str = ""
    kind: OfferKind = OfferKind.AUTOMATIC
    is_fallback: bool = False
    chid_level: int = 0


@dataclass(slots=True)
class _Case:
    machine: Machine
    device: Device
    candidate: Candidate
    now: datetime
    ids: list[TargetedId]
    kind: OfferKind = OfferKind.AUTOMATIC
    is_fallback: bool = False


# Each takes the case, narrows what is left of it, and says why nothing is left: "" when something is.


def _hardware_id(case: _Case) -> str:
    device = case.device
    case.ids = [each for each in case.ids if each.hardware_id in (*device.hardware_ids, *device.compatible_ids)]
    count = len(device.hardware_ids) + len(device.compatible_ids)
    return "" if case.ids else f"None of the device's {count} ids is targeted by the label."


def _live(case: _Case) -> str:
    candidate, before = case.candidate, case.ids
    if candidate.live_targeting is None:
        return f"Nothing of the label is offered: its workflow is at {candidate.step} ({candidate.state})."
    case.ids = [each for each in before if each.state in LIVE_STATES]
    states = sorted({str(each.state) for each in before})
    return (
        ""
        if case.ids
        else f"The hardware id is {_listed(states)} on the label, whose workflow is at {candidate.step} "
        f"({candidate.state})."
    )


def _architecture(case: _Case) -> str:
    found = {system.architecture for each in case.ids if (system := system_of(each.os_code))}
    wanted = case.machine.architecture
    case.ids = [each for each in case.ids if (system := system_of(each.os_code)) and system.architecture == wanted]
    return "" if case.ids else f"The hardware id is published for {_listed(sorted(found))}; the machine is {wanted}."


def _edition(case: _Case) -> str:
    wanted = case.machine.is_server
    case.ids = [each for each in case.ids if (system := system_of(each.os_code)) and system.server == wanted]
    names = ("clients", "server") if wanted else ("servers", "client")
    return "" if case.ids else f"The hardware id is published for {names[0]}; the machine is a {names[1]}."


def _os_release(case: _Case) -> str:
    before, build = case.ids, case.machine.build
    case.ids = [each for each in before if (system := system_of(each.os_code)) and offers_forward(system, build)]
    codes = sorted({each.os_code for each in before})
    return (
        ""
        if case.ids
        else f"The hardware id is published for {_listed(codes)} and later; the machine has build {build}."
    )


def _floor(case: _Case) -> str:
    floor, build = case.candidate.targeted("inServicePublishInfo", "flooring"), case.machine.build
    if floor is None or reaches_floor(build, floor):
        return ""
    return f"The label's floor is {floor}; the machine has build {build}, of an earlier release."


def _ceiling(case: _Case) -> str:
    ceiling, build = case.candidate.targeted("inServicePublishInfo", "ceiling"), case.machine.build
    if ceiling is None or keeps_ceiling(build, ceiling):
        return ""
    return f"The label's ceiling is {ceiling}; the machine has build {build}, of a later release."


def _build_numbers(case: _Case) -> str:
    low = case.candidate.targeted("coEngDriverPublishInfo", "flooringBuildNumber")
    high = case.candidate.targeted("coEngDriverPublishInfo", "ceilingBuildNumber")
    build = case.machine.build
    if low is not None and build < int(low):
        return f"The label is for build {int(low)} and later; the machine has build {build}."
    if high is not None and build > int(high):
        return f"The label is for builds up to {int(high)}; the machine has build {build}."
    return ""


def _chid(case: _Case) -> str:
    wanted, own = case.candidate.chids, case.machine.chids
    if wanted is None or not wanted.isdisjoint(own):
        return ""
    return f"The label is for certain computers, and none of the machine's {len(own)} CHIDs is one of theirs."


def _audience(case: _Case) -> str:
    wanted = (case.candidate.live_targeting or {}).get("restrictedToAudiences") or []
    known = {TEST_REGISTRY_KEY.id: frozenset({TEST_REGISTRY_KEY.name})} | dict(case.candidate.audiences)
    for each in wanted:
        names = {each, *known.get(each.casefold(), ())}
        if not case.machine.audiences.isdisjoint(name.casefold() for name in names):
            return ""
    shown = [min(known.get(each.casefold(), ()), default=each) for each in wanted]
    return f"The label is restricted to the audience {_listed(shown)}; the machine is in none of it." if wanted else ""


def _insider(case: _Case) -> str:
    if case.machine.is_insider:
        return ""
    if case.candidate.is_flight_signed:
        return "The driver is signed for flights: it is for Insider machines, and this is none."
    if is_co_engineered(case.candidate.specifications, case.candidate.live_targeting or {}):
        return "The label is of a co-engineered driver: it is for Insider machines, and this is none."
    return ""


def _s_mode(case: _Case) -> str:
    if case.machine.is_s_mode and not case.candidate.specifications.get("publishToWindows10s"):
        return "The machine is in S mode, and the label does not say publishToWindows10s."
    return ""


def _goes_live(case: _Case) -> str:
    text = case.candidate.specifications.get("goLiveDate")
    when = datetime.fromisoformat(text) if text else case.now
    return "" if when <= case.now else f"The label goes live at {rfc3339(when)}; it is {rfc3339(case.now)}."


def _rollout(case: _Case) -> str:
    rollout, candidate, machine = case.candidate.rollout, case.candidate, case.machine
    if rollout is None or rollout["isFinalized"] or candidate.step in _AFTER_ROLLOUT:
        return ""
    percent = percent_at(rollout, case.now)
    if rollout.get("isFlight"):
        return "" if percent else "The flight of the co-engineered driver is paused, or has ended."
    if machine.build > RS2 and machine.bucket < percent:
        return ""
    case.ids = [each for each in case.ids if each.run != candidate.run]
    if case.ids:
        return ""
    if machine.build <= RS2:
        return (
            f"The label is rolled out gradually; build {machine.build}, of Windows 10 1703 or earlier, gets it when "
            "that has ended."
        )
    return (
        f"The gradual rollout has reached {percent:g} % of the machines; this one's bucket is {machine.bucket:g}, and "
        "it gets the driver when the percentage is above that."
    )


def _extension_build(case: _Case) -> str:
    if case.candidate.extension_id is None:
        return ""
    build, revision = case.machine.build, case.machine.revision
    if build > RS3 or (build == RS3 and (revision is None or revision >= RS3_WITH_EXTENSIONS)):
        return ""
    has = str(build) if revision is None else f"{build}.{revision}"
    return f"An extension INF needs build {RS3}.{RS3_WITH_EXTENSIONS} or later; the machine has {has}."


def _delivery(case: _Case) -> str:
    candidate, machine = case.candidate, case.machine
    if machine.is_upgrade:
        return "The label is a manual one: it has no part in an upgrade of Windows." if candidate.is_manual else ""
    if candidate.is_automatic:
        return ""
    if candidate.extension_id is not None:
        return "The label is not for all applicable systems, and an extension INF is never an optional update."
    if machine.build >= VB:
        case.kind = OfferKind.OPTIONAL
        return ""
    return _before_optional_updates(case)


def _before_optional_updates(case: _Case) -> str:
    if case.candidate.is_for_upgrades:
        return f"The label is for upgrades of Windows; the scan of build {case.machine.build} does not offer it."
    case.is_fallback = case.device.needs_driver
    if case.is_fallback:
        return ""
    return (
        f"The label is a manual one; the scan of build {case.machine.build} offers it only to a device without a "
        "driver, or with a generic one."
    )


_Check = Callable[[_Case], str]

_RULES = "understanding-windows-update-automatic-and-optional-rules-for-driver-distribution"

DELIVERY = Rule(
    "delivery",
    f"dashboard/{_RULES}.md",
    "the label's delivery options fit the scan: automatic ones, in an upgrade those for upgrades too; manual ones are "
    "optional updates from Windows 10 2004 on, and before that for a device without a driver of its own, when there is "
    "no automatic one",
)

CHECKS: tuple[tuple[Rule, _Check], ...] = (
    (
        Rule(
            "hardware-id",
            "install/overview-of-the-driver-selection-process.md",
            "a hardware id or compatible id of the device is targeted by the label",
        ),
        _hardware_id,
    ),
    (
        Rule(
            "live",
            "dashboard/manage-driver-distribution-by-submission.md",
            "the label has been published with this hardware id, and it has not expired",
        ),
        _live,
    ),
    (
        Rule("architecture", "dashboard/get-product-data.md", "the id is published for the machine's architecture"),
        _architecture,
    ),
    (
        Rule(
            "edition",
            "dashboard/get-product-data.md",
            "the id is published for clients, or for servers, as the machine is one",
        ),
        _edition,
    ),
    (
        Rule(
            "os-release",
            "dashboard/limit-driver-distribution.md",
            "the id is published for the machine's release of Windows or an earlier one: drivers are offered forwards, "
            "from Windows 8.1 and earlier not to Windows 10",
        ),
        _os_release,
    ),
    (
        Rule("floor", "dashboard/limit-driver-distribution.md", "the machine has the label's floor or a later release"),
        _floor,
    ),
    (
        Rule(
            "ceiling",
            "dashboard/limit-driver-distribution.md",
            "the machine has the label's ceiling or an earlier release",
        ),
        _ceiling,
    ),
    (
        Rule(
            "build-numbers",
            "dashboard/limit-driver-distribution.md",
            "the machine's build lies between the label's build numbers of co-engineering, both included",
        ),
        _build_numbers,
    ),
    (Rule("chid", "dashboard/using-chids.md", "the machine has one of the label's CHIDs, if it names any"), _chid),
    (
        Rule(
            "audience",
            "dashboard/get-audience-data.md",
            "the machine is in one of the audiences that the label is restricted to, if it is",
        ),
        _audience,
    ),
    (
        Rule(
            "insider",
            "dashboard/driver-flighting.md",
            "the machine is an Insider's, where the driver is signed for flights or the label is of co-engineering",
        ),
        _insider,
    ),
    (
        Rule(
            "s-mode",
            "dashboard/publish-a-driver-to-windows-update.md",
            "the label says publishToWindows10s, where the machine is in S mode",
        ),
        _s_mode,
    ),
    (
        Rule("go-live-date", "dashboard/get-shipping-labels.md", "the label's goLiveDate, if it has one, has passed"),
        _goes_live,
    ),
    (
        Rule(
            "rollout",
            "dashboard/gradual-rollout.md",
            "the gradual rollout of what this run of the label added has reached the machine; Windows 10 1703 and "
            "earlier are reached at its end; the flight of a co-engineered driver goes on",
        ),
        _rollout,
    ),
    (
        Rule(
            "extension-build",
            "dashboard/submit-dashboard-extension-inf-files.md",
            "the machine has build 16299.192 or later, where the driver is an extension INF",
        ),
        _extension_build,
    ),
    (DELIVERY, _delivery),
)

INSTALLED = Rule(
    "installed",
    "install/overview-of-the-driver-selection-process.md",
    "the driver is better than the one that the device has: by rank, then date, then version; an extension INF by "
    "date, then version",
)
BETTER_OFFER = Rule(
    "better-offer",
    "install/overview-of-the-driver-selection-process.md",
    "it is the best of its kind that the device is offered; an optional one is better than the automatic one too",
)
EXTENSION_WINNER = Rule(
    "extension-winner",
    "install/using-an-extension-inf-file.md",
    "it is the newest extension INF of its ExtensionId that the device is offered",
)

RULES: tuple[Rule, ...] = (*(rule for rule, _ in CHECKS), INSTALLED, BETTER_OFFER, EXTENSION_WINNER)
"""Every rule in its order."""


def judge(machine: Machine, device: Device, candidate: Candidate, now: datetime) -> Verdict:
    """The first rule that keeps a driver from a device, whatever other drivers there are; or how it is offered."""
    case = _Case(machine, device, candidate, now, list(candidate.ids))
    for rule, check in CHECKS:
        before = case.ids
        if reason := check(case):
            return Verdict(_best(device, before), rule, reason)
    match = _best(device, case.ids)
    return Verdict(match, kind=case.kind, is_fallback=case.is_fallback, chid_level=_chid_level(machine, candidate))


def _best(device: Device, ids: Sequence[TargetedId]) -> Match | None:
    """The best match. Of rows for several releases of Windows those of the latest count, whose models section is the
    one that the machine reads.
    """
    found: list[tuple[int, Match]] = []
    for each in ids:
        identifier = identifier_score(each.hardware_id, each.position, device.hardware_ids, device.compatible_ids)
        if identifier is not None:
            found.append((_release_order(each.os_code), Match(rank(identifier, each.feature_score), each)))
    latest = max((release for release, _ in found), default=0)
    matches = (match for release, match in found if release == latest)
    return min(matches, key=lambda match: (match.rank, match.target.os_code), default=None)


def _release_order(os_code: str) -> int:
    system = system_of(os_code)
    if system is None:
        return 0
    return system.build or (NEWEST_BUILD + 1 if system.major >= 10 else system.major * 10 + system.minor)


def _chid_level(machine: Machine, candidate: Candidate) -> int:
    # dashboard/using-chids.md: up to 1703 the more specific CHID counts before the rank, from 1709 on none does.
    if machine.build > RS2:
        return 0
    named = candidate.chids or frozenset()
    return next((place for place, each in enumerate(machine.chids) if each in named), len(machine.chids))


def _listed(words: list[str], most: int = 4) -> str:
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} others"
