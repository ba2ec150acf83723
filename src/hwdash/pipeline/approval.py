"""A person's word on a label that waits for approval. It is only written down: the label's workflow acts on it.

So it needs neither the service's clock nor its queue: ``wake_at`` lies in the past, and the service finds it.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from hwdash.domain.policy import Policy
from hwdash.domain.reason import ReasonRefused, check_reason
from hwdash.pipeline.review import APPROVED, REJECTED, Decision
from hwdash.storage.label_progress import AT_ONCE, find_any_label, labels_with_approval, lock_label, move_label
from hwdash.storage.labels import chids_of, hardware_ids_of
from hwdash.storage.tables import submissions, users
from hwdash.vocabulary import DistributionState
from hwdash.wire.label import guid

NO_REASONS: Mapping[str, str] = MappingProxyType({})


class NotWaiting(Exception):
    """The label does not wait for an approval. The message says what became of it."""


class DeciderRefused(Exception):
    """The account's policy wants another person to decide."""


def waiting(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """The labels that wait for an approval or will, oldest first."""
    return [row for row in labels_with_approval(connection) if _is_open(row)]


def approve(connection: sa.Connection, label_id: int, decision: Decision) -> bool:
    """Let the label go on; False when it was approved before.

    Raises NotWaiting, DeciderRefused and ReasonRefused.
    """
    return _decide(connection, label_id, APPROVED, decision)


def reject(
    connection: sa.Connection, label_id: int, decision: Decision, reasons: Mapping[str, str] = NO_REASONS
) -> bool:
    """Fail this run of the label, with the reason among its messages; False when it was rejected before.

    ``reasons`` are those of single hardware ids and CHIDs; with one the decision needs none of its own. What an earlier
    run made live stays so. Raises NotWaiting, DeciderRefused and ReasonRefused.
    """
    if not decision.reason.strip() and not reasons:
        raise ReasonRefused("a rejection needs a reason: the owner reads it among the label's messages")
    if blank := [each for each, reason in reasons.items() if not reason.strip()]:
        raise ReasonRefused(f"a rejection needs a reason for each id, and there is none for {', '.join(blank)}")
    return _decide(connection, label_id, REJECTED, decision, reasons)


def _decide(
    connection: sa.Connection, label_id: int, word: str, decision: Decision, reasons: Mapping[str, str] = NO_REASONS
) -> bool:
    for each in (decision.reason, *reasons.values()):
        check_reason(each)
    row = lock_label(connection, label_id)
    if row is None:
        raise NotWaiting(f"there is no shipping label {label_id}")
    made = (row.approval or {}).get("decision")
    if made == word:
        return False
    if not _is_open(row):
        raise NotWaiting(f"shipping label {label_id} does not wait for an approval: {_became(row)}")
    if Policy.of(row.policy).approver_is_not_submitter and decision.by.casefold() in _submitters(connection, row):
        raise DeciderRefused(
            f"{decision.by} made label {label_id} or its submission, and the policy of account {row.account_id} wants "
            "another person to decide (hwdash admin account policy --approver-is-not-submitter off)"
        )
    said = {"decision": word, "by": decision.by, "reason": decision.reason, "when": decision.when.isoformat()}
    ids = {"ids": _of_label(connection, label_id, reasons)} if reasons else {}
    move_label(connection, label_id, {"approval": row.approval | said | ids, "wake_at": AT_ONCE})
    return True


def _of_label(connection: sa.Connection, label_id: int, reasons: Mapping[str, str]) -> dict[str, str]:
    """The reasons by the ids as the label has them. Raises ReasonRefused with every id that it does not target."""
    targeted = (DistributionState.PENDING_ADD, DistributionState.ADDED)
    known = {each.hardware_id for each in hardware_ids_of(connection, [label_id]) if each.state in targeted}
    known |= {each.chid for each in chids_of(connection, [label_id]) if each.state in targeted}
    found = {guid(each).lower(): (each, reason) for each, reason in reasons.items()}
    if foreign := [given for each, (given, _) in found.items() if each not in known]:
        raise ReasonRefused(
            f"shipping label {label_id} does not target {', '.join(foreign)}: hwdash admin approval show {label_id} "
            "lists what it does"
        )
    return {each: reason for each, (_, reason) in found.items()}


def _is_open(row: sa.Row[Any]) -> bool:
    asked = row.approval or {}
    return "requestId" in asked and "decision" not in asked and not row.is_cancelled and row.is_unfinished


def _became(row: sa.Row[Any]) -> str:
    made = row.approval or {}
    if row.is_cancelled:
        return "it was cancelled"
    if "decision" in made:
        return f"it is {made['decision']} by {made['by']}"
    return f"it is at {row.current_step}, {row.state}"


def _submitters(connection: sa.Connection, row: sa.Row[Any]) -> set[str]:
    """Who made the label and its submission: client ids, user ids and the names that these people sign in with."""
    made = sa.select(submissions.c.created_by).where(submissions.c.id == row.submission_id)
    ids = {row.created_by, connection.execute(made).scalar_one()}
    logins = connection.execute(sa.select(users.c.login).where(users.c.id.in_(ids))).scalars()
    return {each.casefold() for each in (*ids, *logins)}


def label_of(connection: sa.Connection, label_id: int) -> sa.Row[Any]:
    """A label with the names of its account and product, for a person who decides. Raises NotWaiting."""
    row = find_any_label(connection, label_id)
    if row is None:
        raise NotWaiting(f"there is no shipping label {label_id}")
    return row
