"""What Windows Update takes back of a label after it was taken (contract/dashboard.md 79 to 81, 101, 108 and 120).

Each rule is one function of what the label targets and yields what is wrong; none stops at the first finding.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwdash.domain.restrictions import is_four_part
from hwdash.drivers.package import listing
from hwdash.pipeline.label_targets import APO, EXTENSION, Target, Targets
from hwdash.pipeline.named_ids import OfIds
from hwdash.vocabulary import RELEASES, operating_system

SOFTWARE_COMPONENT = "softwarecomponent"
FIRST_APO_RELEASE = "CO"
_FIRST_APO = RELEASES.index(FIRST_APO_RELEASE)
FIRST_APO_BUILD = 22000

_INBOX_DRIVER = re.compile(r"ExtendsInboxDriver\s*=\s*([\w.-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LabelFinding(OfIds):
    """One thing that is wrong with a label, and the ids that it is wrong with."""

    rule: str
    says: str
    ids: Sequence[str]
    remedy: str

    def told(self, ids: str) -> str:
        """The message with these ids in it."""
        return f"ERROR {self.rule}: {self.says}: {ids}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules know beside the targets."""

    justifications: Sequence[str]
    """The texts of the label, newest first."""
    targeting: Mapping[str, Any]
    owners: Mapping[str, str]
    """The owner of each hardware id and CHID that another company than the publisher owns, and of each CHID of its own:
    by the company's name."""
    based: frozenset[str]
    """Which hardware ids of extension INFs have a declarative base driver."""
    class_chids: Sequence[tuple[str, str]]
    """domain/policy.py."""
    apo_hardware_ids: frozenset[str]
    """What the submission's INFs of the class AudioProcessingObject are for."""


def label_findings(targets: Targets, facts: Facts) -> list[LabelFinding]:
    """All that is wrong."""
    extensions = [row for row in targets.rows if row.inf_class == EXTENSION]
    found = [*_old_and_new_windows(targets), *_class_chids(targets, facts), *_audio(targets, facts)]
    if extensions:
        found += _extension(extensions, targets.chids, facts)
    return found


def inbox_drivers(justifications: Iterable[str]) -> list[str]:
    """The inbox drivers that the newest justification which names any says are extended (contract/dashboard.md 81)."""
    for text in justifications:
        if named := sorted({each.lower().rstrip(".") for each in _INBOX_DRIVER.findall(text)}):
            return named
    return []


def _old_and_new_windows(targets: Targets) -> Iterator[LabelFinding]:
    codes = sorted({row.os_code for row in targets.rows})
    old = [code for code in codes if _is_old(code)]
    if old and len(old) < len(codes):
        yield LabelFinding(
            "label.mixed-windows",
            "a label does not target Windows 10 or later together with what is older",
            old,
            "Make one label for Windows 10 and later, and another one for these.",
        )


def _is_old(code: str) -> bool:
    system = operating_system(code, accept_new=True)
    return system is not None and not system.supports_chids


def _class_chids(targets: Targets, facts: Facts) -> Iterator[LabelFinding]:
    for name, policy in facts.class_chids:
        ids = _ids(row for row in targets.rows if row.inf_class == name)
        if ids and policy == "required" and not targets.chids:
            yield LabelFinding(
                "label.chids-required",
                f"the class {name} is targeted by CHIDs, and the label has none",
                ids,
                "Add the CHIDs of the machines that it is for.",
            )
        if ids and policy == "forbidden" and targets.chids:
            yield LabelFinding(
                "label.chids-forbidden",
                f"the class {name} is not targeted by CHIDs, and the label has {listing(targets.chids)}",
                ids,
                "Remove the CHIDs.",
            )


def _audio(targets: Targets, facts: Facts) -> Iterator[LabelFinding]:
    """108: from Windows 11 21H2 on an APO is of the class AudioProcessingObject, before of SoftwareComponent."""
    limits = facts.targeting.get("inServicePublishInfo") or {}
    builds = facts.targeting.get("coEngDriverPublishInfo") or {}
    floor, ceiling = _release(limits.get("flooring")), _release(limits.get("ceiling"))
    is_late = floor is not None and floor >= _FIRST_APO
    is_late = is_late or int(builds.get("flooringBuildNumber") or 0) >= FIRST_APO_BUILD
    early = _ids(row for row in targets.rows if row.inf_class == APO and not is_late and _is_before_apo(row.os_code))
    if early:
        yield LabelFinding(
            "label.audio-floor",
            "the class AudioProcessingObject begins with Windows 11 21H2, and the label reaches what is older",
            early,
            f"Set the floor {FIRST_APO_RELEASE}, and publish a SoftwareComponent driver for what is older.",
        )
    is_capped = ceiling is not None and ceiling < _FIRST_APO
    late = _ids(
        row
        for row in targets.rows
        if row.inf_class == SOFTWARE_COMPONENT and row.hardware_id in facts.apo_hardware_ids and not is_capped
    )
    if late:
        yield LabelFinding(
            "label.audio-ceiling",
            "from Windows 11 21H2 on these have a driver of the class AudioProcessingObject in this submission, and "
            "the label reaches that far with one of the class SoftwareComponent",
            late,
            f"Set a ceiling before {FIRST_APO_RELEASE}.",
        )


def _release(token: str | None) -> int | None:
    return RELEASES.index(token) if token in RELEASES else None


def _is_before_apo(code: str) -> bool:
    system = operating_system(code, accept_new=True)
    if system is None or (system.release is not None and system.floor is None):
        return False  # of a release to come
    order = _release(system.floor)
    return order is None or order < _FIRST_APO


def _extension(rows: Sequence[Target], chids: Sequence[str], facts: Facts) -> Iterator[LabelFinding]:
    ids = _ids(rows)
    broad = [each for each in ids if not is_four_part(each)]
    if broad and not chids:
        yield LabelFinding(
            "label.extension-two-part",
            "an extension targets machines of one maker, and nothing says which: these ids name no subsystem, and the "
            "label has no CHIDs",
            broad,
            "Target ids with a subsystem (SUBSYS_), or add CHIDs.",
        )
    owners = {facts.owners[each] for each in (*ids, *chids) if each in facts.owners}
    if len(owners) > 1:
        owned = [f"{each} ({facts.owners[each]})" for each in (*ids, *chids) if each in facts.owners]
        yield LabelFinding(
            "label.extension-many-oems",
            f"an extension targets machines of one maker, and this label those of {listing(sorted(owners))}",
            owned,
            "Submit an extension for each of them; CHIDs alone do not cure it.",
        )
    yield from _base_drivers(ids, facts)


def _base_drivers(ids: Sequence[str], facts: Facts) -> Iterator[LabelFinding]:
    inbox = inbox_drivers(facts.justifications)
    if not inbox:
        if missing := [each for each in ids if each not in facts.based]:
            yield LabelFinding(
                "label.extension-base-driver",
                "no declarative base driver is here that the extension could extend",
                missing,
                "Submit the base driver first, or write ExtendsInboxDriver = NAME.inf into the business justification "
                "when the driver that it extends comes with Windows.",
            )
        return
    if len(inbox) > 1:
        yield LabelFinding(
            "label.extension-inbox",
            "a label extends one driver that comes with Windows, and the business justification names several",
            inbox,
            "Make a label for each.",
        )
    if based := [each for each in ids if each in facts.based]:
        yield LabelFinding(
            "label.extension-inbox-mixed",
            f"the label extends {inbox[0]}, which comes with Windows, and these have a base driver of their own",
            based,
            "Make another label for them.",
        )


def _ids(rows: Iterable[Target]) -> list[str]:
    return sorted({row.hardware_id for row in rows})
