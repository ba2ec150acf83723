"""What an operator asks of a gradual rollout: to pause, resume or end it, or to take the label back altogether.

Like an approval it is only written down. The workflow does it, by the service's clock; what machines are offered
follows at once, whatever else the service has to do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from hwdash.domain.reason import ReasonRefused, check_reason
from hwdash.domain.rollout import FLIGHT_DAYS, Rollout, Wish
from hwdash.pipeline.review import Decision
from hwdash.storage.label_progress import AT_ONCE, expire, labels_with_rollout, lock_label, move_label
from hwdash.vocabulary import LabelDestination, LabelStep, WorkflowState


class NotRollingOut(Exception):
    """There is nothing to do it to. The message says what became of the label."""


def rolling_out(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """The labels that are rolled out gradually, oldest first."""
    return [row for row in labels_with_rollout(connection) if is_rolling_out(row)]


def ask(connection: sa.Connection, label_id: int, wish: Wish, decision: Decision) -> bool:
    """Ask for it; False when it is so already, or was asked for. Raises NotRollingOut and ReasonRefused."""
    check_reason(decision.reason)
    row = lock_label(connection, label_id)
    if row is None:
        raise NotRollingOut(f"there is no shipping label {label_id}")
    if not is_rolling_out(row):
        raise NotRollingOut(f"shipping label {label_id} is not being rolled out: {_became(row)}")
    if wish == Wish.FINALIZE and Rollout.of(row.rollout).is_flight:
        raise NotRollingOut(
            f"shipping label {label_id} flies a co-engineered driver, which never goes to all machines: cancel it, or "
            f"let it end after {FLIGHT_DAYS} days"
        )
    if _standing(row.rollout) == wish:
        return False
    if _standing(row.rollout) == Wish.FINALIZE:
        raise NotRollingOut(f"the rollout of shipping label {label_id} is about to end: cancel the label instead")
    asked = {"what": wish, "by": decision.by, "reason": decision.reason, "when": decision.when.isoformat()}
    move_label(connection, label_id, {"rollout": row.rollout | {"wish": asked}, "wake_at": AT_ONCE})
    return True


def take_label_back(connection: sa.Connection, label_id: int, decision: Decision) -> bool:
    """Expire the entire label, wherever it stands; False when it was cancelled before.

    The label fails, with the reason among its messages, and cannot be changed any more.
    Raises NotRollingOut and ReasonRefused.
    """
    if not decision.reason.strip():
        raise ReasonRefused("to cancel needs a reason: the owner reads it among the label's messages")
    check_reason(decision.reason)
    row = lock_label(connection, label_id)
    if row is None:
        raise NotRollingOut(f"there is no shipping label {label_id}")
    if row.is_cancelled:
        return False
    if row.destination != LabelDestination.WINDOWS_UPDATE:
        raise NotRollingOut(f"shipping label {label_id} shares a driver with a partner: its owner revokes that")
    if not row.is_unfinished and row.live_targeting is None:
        raise NotRollingOut(f"nothing of shipping label {label_id} is offered: {_became(row)}")
    by = {"by": decision.by, "reason": decision.reason, "when": decision.when.isoformat()}
    move_label(
        connection,
        label_id,
        {
            "current_step": LabelStep.MICROSOFT_APPROVAL,
            "state": WorkflowState.STARTED,
            "is_cancelled": True,
            "approval": (row.approval or {}) | {"cancelled": by},
            # A run of its own, so that no workflow id is used twice.
            "run": row.run if row.is_unfinished else row.run + 1,
            "wake_at": AT_ONCE,
            **expire(connection, row),
        },
    )
    return True


def _standing(stored: Mapping[str, Any]) -> Wish:
    """What holds once the last wish is fulfilled."""
    asked = stored.get("wish")
    if asked:
        return Wish(asked["what"])
    return Wish.PAUSE if stored["pausedAt"] else Wish.RESUME


def is_rolling_out(row: sa.Row[Any]) -> bool:
    """Is the label rolled out gradually, or does it fly, paused or not?"""
    return (
        row.rollout is not None
        and row.current_step == LabelStep.MICROSOFT_APPROVAL
        and row.state == WorkflowState.STARTED
        and not row.is_cancelled
    )


def _became(row: sa.Row[Any]) -> str:
    return "it was cancelled" if row.is_cancelled else f"it is at {row.current_step}, {row.state}"
