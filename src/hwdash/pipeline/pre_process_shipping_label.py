"""preProcessShippingLabel: may the label target what it targets? All that is wrong is told at once."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.ownership import IdKind
from hwdash.domain.policy import Policy
from hwdash.pipeline.label_rules import Facts, LabelFinding, label_findings
from hwdash.pipeline.label_targets import EXTENSION, Targets, apo_hardware_ids, targets_of, with_base_driver
from hwdash.pipeline.label_work import Failed, LabelStepResult, Moved
from hwdash.pipeline.ownership import ForeignIds, ownership_findings
from hwdash.storage.ownership import account_names, owners_of, owners_of_hardware_ids
from hwdash.vocabulary import LabelDestination


def run(connection: sa.Connection, label: sa.Row[Any], _now: datetime) -> LabelStepResult:
    """Judge what the label targets; to take away is always allowed."""
    if label.destination != LabelDestination.WINDOWS_UPDATE:
        return Moved()
    targets = targets_of(connection, label)
    if targets.is_expiry:
        return Moved()
    found: list[ForeignIds | LabelFinding] = [*ownership_findings(connection, label)]
    found += label_findings(targets, _facts(connection, label, targets))
    if not found:
        return Moved()
    return Failed([each.message for each in found], [each.full_message for each in found])


def _facts(connection: sa.Connection, label: sa.Row[Any], targets: Targets) -> Facts:
    extended = {row.hardware_id for row in targets.rows if row.inf_class == EXTENSION}
    return Facts(
        justifications=justifications_of(label),
        targeting=label.targeting,
        owners=_owners(connection, label, extended, targets) if extended else {},
        based=frozenset(with_base_driver(connection, label.account_id, extended)),
        class_chids=Policy.of(label.policy).class_chids,
        apo_hardware_ids=frozenset(apo_hardware_ids(connection, label.submission_id)),
    )


def justifications_of(label: sa.Row[Any]) -> list[str]:
    """Why the label is distributed so, in its owner's words, newest first."""
    texts = [each["text"] for each in reversed(label.justifications)]
    info = label.specifications.get("additionalInfoForMsApproval") or {}
    return [*texts, info.get("businessJustification") or ""]


def _owners(connection: sa.Connection, label: sa.Row[Any], hardware_ids: set[str], targets: Targets) -> dict[str, str]:
    # The publisher's own chip stands in the machines of many makers; its own CHIDs are its own machines.
    owners = {
        each: owner
        for each, owner in owners_of_hardware_ids(connection, hardware_ids).items()
        if owner != label.account_id
    } | owners_of(connection, IdKind.CHID, targets.chids)
    names = account_names(connection, set(owners.values()))
    return {each: f"{names[owner]} (seller {owner})" for each, owner in owners.items()}
