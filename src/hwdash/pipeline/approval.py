"""A person's word on a label that waits for approval. It is only written down: the label's workflow acts on it.

So it needs neither the service's clock nor its queue: ``wake_at`` lies in the past, and the service finds it.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from hwdash.domain.policy import Policy
from hwdash.pipeline.review import APPROVED, REJECTED, Decision, ReasonRefused, check_reason
from hwdash.storage.label_progress import AT_ONCE, find_any_label, labels_with_approval, lock_label, move_label
from hwdash.storage.tables import submissions, users


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


def reject(connection: sa.Connection, label_id: int, decision: Decision) -> bool:
    """Fail this run of the label, with the reason among its messages; False when it was rejected before.

    What an earlier run made live stays so. Raises NotWaiting, DeciderRefused and ReasonRefused.
    """
    if not decision.reason.strip():
        raise ReasonRefused("a rejection needs a reason: the owner reads it among the label's messages")
    return _decide(connection, label_id, REJECTED, decision)


def _decide(connection: sa.Connection, label_id: int, word: str, decision: Decision) -> bool:
    check_reason(decision.reason)
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
    made_of = {"decision": word, "by": decision.by, "reason": decision.reason, "when": decision.when.isoformat()}
    move_label(connection, label_id, {"approval": row.approval | made_of, "wake_at": AT_ONCE})
    return True


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
