"""microsoftApproval: a person's word where one is needed, then the go-live date, then gradual rollout or flight.

The release calendar moves the day on which it goes live.

Every label is seen here for a while, because there are clients that wait for this step and for no later one. All the
time it can be cancelled and not be changed (contract/api.md 4.15 and 6.3, contract/dashboard.md 94 and 128 to 134).
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hwdash.domain.measures import Verdict
from hwdash.domain.policy import Policy
from hwdash.domain.rollout import Rollout, fulfilled, is_co_engineered
from hwdash.pipeline.finalize_pre_processing import is_automatic, is_for_test_machines
from hwdash.pipeline.label_targets import targets_of
from hwdash.pipeline.label_work import Failed, LabelStepResult, Moved, Wait
from hwdash.pipeline.ownership import owners_by_id
from hwdash.pipeline.release_calendar import held_back
from hwdash.pipeline.review import REJECTED
from hwdash.pipeline.work import MESSAGES_SHOWN
from hwdash.storage.label_progress import adds_hardware_ids, expire, go_live
from hwdash.storage.measures import results_of

VISIBLE_FOR = timedelta(seconds=15)
"""Clients look every five seconds (contract/api.md 6.3)."""
DEPRECATED = (
    "ERROR label.deprecated: the author changed what is shared before this went live, so it does not. Make a label of "
    "the submission that replaces this one; its messages name it."
)


def run(connection: sa.Connection, label: sa.Row[Any], now: datetime) -> LabelStepResult:
    """See what ends the wait, or how far the rollout is."""
    if label.is_cancelled:
        return _cancelled(label)
    if label.rollout is not None:
        return _roll_out(connection, label, fulfilled(label.rollout, now), now, {})
    return _still_waits(connection, label, now) or _begin(connection, label, now)


def _still_waits(connection: sa.Connection, label: sa.Row[Any], now: datetime) -> LabelStepResult | None:
    approval = label.approval or {"decision": "not needed"}
    decision = approval.get("decision")
    if decision == REJECTED:
        return Failed(list(_rejection(connection, approval)))
    told = () if decision else _waits_for_approval(approval)
    seen_at, go_live_at = label.step_since + VISIBLE_FOR, go_live_date(label)
    held = held_back(connection, label, max(now, go_live_at or now))
    told += (held.message,) if held else ()
    if now < seen_at:
        return Wait(seen_at, told)
    go_live_at = held.until if held else go_live_at
    if decision is None:
        # What is told of the calendar is true until then.
        return Wait(held.until if held else None, told)
    if go_live_at is not None and now < go_live_at:
        return Wait(go_live_at, (f"Goes live at {go_live_at:%FT%TZ}.", *told))
    return None


def _begin(connection: sa.Connection, label: sa.Row[Any], now: datetime) -> LabelStepResult:
    adds = adds_hardware_ids(connection, label.id)
    if adds and label.is_deprecated:
        return Failed([DEPRECATED])
    is_for_tests = is_for_test_machines(label)
    if (
        is_co_engineered(label.specifications, label.targeting)
        and not is_for_tests
        and targets_of(connection, label).rows
    ):
        return _roll_out(connection, label, Rollout.flight(now), now, go_live(connection, label, now))
    # Only what this run adds is rolled out: what was offered before stays offered to all.
    is_gradual = is_automatic(label) and not is_for_tests and adds
    if not is_gradual:
        return Moved()
    policy = Policy.of(label.policy)
    rollout = Rollout(policy.rollout, policy.watch_days, now)
    return _roll_out(connection, label, rollout, now, go_live(connection, label, now))


def go_live_date(label: sa.Row[Any]) -> datetime | None:
    """The earliest time at which the label may be offered; in UTC where it says no zone."""
    text = label.specifications.get("goLiveDate")
    if not text:
        return None
    date = datetime.fromisoformat(text)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)


def _roll_out(
    connection: sa.Connection, label: sa.Row[Any], rollout: Rollout, now: datetime, changes: dict[str, Any]
) -> LabelStepResult:
    if rollout.is_over_at(now):
        ended = expire(connection, label) if rollout.is_flight else {}
        return Moved({**changes, **ended, "rollout": rollout.finalize(now).to_json()})
    measured = sorted(
        (each for each, _ in results_of(connection, label)), key=lambda each: each.verdict is Verdict.PASS
    )
    told = (rollout.message_at(now), *(each.message for each in measured[: MESSAGES_SHOWN - 1]))
    return Wait(rollout.next_change_at(now), told, {**changes, "rollout": rollout.to_json()})


def _cancelled(label: sa.Row[Any]) -> LabelStepResult:
    """The entire label ends, not only its last run: it cannot be changed any more, so nothing of it may stay live."""
    by_operator = (label.approval or {}).get("cancelled")
    if by_operator:
        said = f"ERROR label.cancelled: the operator ended the distribution of this driver: {by_operator['reason']}"
    else:
        said = "ERROR label.cancelled: the label was cancelled."
    return Failed([said], is_whole_label=True)


def _rejection(connection: sa.Connection, approval: Mapping[str, Any]) -> Iterator[str]:
    """The reason of all, then that of each id with the company that owns it (contract/dashboard.md 95 and 121)."""
    if approval["reason"]:
        yield f"ERROR approval.rejected: {approval['reason']}"
    reasons = approval.get("ids", {})
    owners = owners_by_id(connection, reasons)
    for each, reason in reasons.items():
        yield f"ERROR approval.rejected: {each}{f', of {owners[each]}' if each in owners else ''}: {reason}"


def _waits_for_approval(approval: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"Waits for approval, promotion request {approval['requestId']}.",
        *(f"Reason: {each}." for each in approval["reasons"]),
    )
