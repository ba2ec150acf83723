"""finalizePreProcessing: does a person have to approve the label, and why?

What asks for it: automatic delivery, classes that always do, and the publishing restrictions (contract/dashboard.md 117
and appendix 2). The account's policy may say that nobody is asked.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.audience import TEST_REGISTRY_KEY
from hwdash.domain.identifiers import new_long_id
from hwdash.domain.policy import Policy
from hwdash.domain.restrictions import (
    REVIEWED_CLASSES,
    restrictions_of_architecture,
    restrictions_of_id,
    restrictions_of_product,
)
from hwdash.domain.rollout import is_co_engineered
from hwdash.drivers.package import listing
from hwdash.pipeline.label_targets import Targets, targets_of
from hwdash.pipeline.label_work import LabelStepResult, Moved
from hwdash.vocabulary import LabelDestination, operating_system


def run(connection: sa.Connection, label: sa.Row[Any], _now: datetime) -> LabelStepResult:
    """Find the reasons for an approval, and number the request for it."""
    if label.destination != LabelDestination.WINDOWS_UPDATE or Policy.of(label.policy).approval == "automatic":
        return Moved({"approval": None})
    targets = targets_of(connection, label)
    reasons = [] if targets.is_expiry else list(approval_reasons(label, targets))
    return Moved({"approval": {"requestId": new_long_id(), "reasons": reasons} if reasons else None})


def is_automatic(label: sa.Row[Any]) -> bool:
    """Does Windows Update install it without being asked?"""
    asked = label.specifications
    return bool(asked.get("isAutoInstallDuringOSUpgrade") or asked.get("isAutoInstallOnApplicableSystems"))


def is_for_test_machines(label: sa.Row[Any]) -> bool:
    """Is the label for the machines of the test audience alone?"""
    audiences = label.targeting.get("restrictedToAudiences") or []
    return bool(audiences) and all(each.lower() == TEST_REGISTRY_KEY.id for each in audiences)


def approval_reasons(label: sa.Row[Any], targets: Targets) -> Iterator[str]:
    """Why a person has to approve what the label targets. ``label`` is the row of a claimed step."""
    if is_automatic(label):
        yield "it is delivered automatically"
    if is_co_engineered(label.specifications, label.targeting):
        yield "the driver is co-engineered"
    rows = targets.new_rows
    classes = {row.inf_class for row in rows}
    yield from (f"the class {name}: {why}" for name, why in REVIEWED_CLASSES.items() if name in classes)
    types = (label.attributes.get("selectedProductTypes") or {}).values()
    yield from restrictions_of_product(label.test_harness, types, is_for_test_machines=is_for_test_machines(label))
    hits: dict[str, list[str]] = {}
    for each in sorted({row.hardware_id for row in rows}):
        for why in restrictions_of_id(each):
            hits.setdefault(why, []).append(each)
    for code in sorted({row.os_code for row in rows}):
        system = operating_system(code, accept_new=True)
        for why in restrictions_of_architecture(system.architecture) if system else ():
            hits.setdefault(why, []).append(code)
    yield from (f"{why}: {listing(ids)}" for why, ids in hits.items())
