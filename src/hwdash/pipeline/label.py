"""The workflows of shipping labels: their steps in order, and the row that they move (contract/api.md 6.3 to 6.5).

What a label asks for is pending until its run goes live. A run that fails takes it back, and what was live before stays
live.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from hwdash.domain.audit import WORKFLOW, act
from hwdash.domain.rollout import FLIGHT_DAYS, Rollout
from hwdash.pipeline import (
    finalize_pre_processing,
    microsoft_approval,
    pre_process_shipping_label,
    process_sharing,
    publish_job_validation,
    publishing,
    update_generation,
)
from hwdash.pipeline.engine import Course, Outcome
from hwdash.pipeline.label_work import Failed, LabelStepResult, LabelSteps, Moved, Wait
from hwdash.pipeline.report import publish_label_error_report
from hwdash.pipeline.work import MESSAGES_SHOWN, Resources
from hwdash.storage.audit import append
from hwdash.storage.database import Database
from hwdash.storage.label_progress import (
    claim_label_step,
    expire,
    is_label_unfinished,
    move_label,
    take_back,
)
from hwdash.vocabulary import SHARING_STEPS, WINDOWS_UPDATE_STEPS, LabelDestination, LabelStep, WorkflowState

log = logging.getLogger(__name__)

GIVEN_UP = (
    "The service could not finish this step although it tried for a while. Nothing is known to be wrong with the "
    "label; the operator finds the reason in the service's log."
)

FLIGHT_OVER = (
    f"The flight of this co-engineered driver has ended after {FLIGHT_DAYS} days: nothing of the label is offered any "
    "more. To fly it again, add what it is to target."
)

RECALLED = Failed(
    ["ERROR label.recalled: the operator recalled this driver; the messages of the submission say why."],
    is_whole_label=True,
)

WINDOWS_UPDATE = Course("label", tuple(str(step) for step in WINDOWS_UPDATE_STEPS[1:]))
"""The course of a label that goes to machines. ``created`` is over before a label exists."""

SHARING = Course("share", tuple(str(step) for step in SHARING_STEPS[1:]))
"""The course of a label that shares a driver with another partner."""


def course_of(destination: str) -> Course:
    """The course of a label that goes there."""
    return SHARING if destination == LabelDestination.ANOTHER_PARTNER else WINDOWS_UPDATE


def _close(_connection: sa.Connection, row: sa.Row[Any], _now: datetime) -> LabelStepResult:
    """The last step of a course: all is done, and clients see that it is."""
    has_flown = row.rollout is not None and Rollout.of(row.rollout).is_flight
    return Moved({"messages": [FLIGHT_OVER]} if has_flown else {})


STEPS: LabelSteps = {
    LabelStep.PRE_PROCESS_SHIPPING_LABEL: pre_process_shipping_label.run,
    LabelStep.FINALIZE_PRE_PROCESSING: finalize_pre_processing.run,
    LabelStep.PUBLISH_JOB_VALIDATION: publish_job_validation.run,
    LabelStep.UPDATE_GENERATION: update_generation.run,
    LabelStep.MICROSOFT_APPROVAL: microsoft_approval.run,
    LabelStep.PUBLISHING: publishing.run,
    LabelStep.FINALIZE_PUBLISHING: _close,
    LabelStep.PROCESS_SHARING: process_sharing.run,
    LabelStep.FINALIZE_SHARING: _close,
}


class LabelWorkflow:
    """Runs the steps of labels of both courses, one transaction a step."""

    def __init__(self, database: Database, resources: Resources) -> None:
        self._database = database
        self._resources = resources

    def run_step(self, object_id: int, step: str) -> Outcome:
        """Run ``step`` if the label stands there. Raises whatever may pass when it is tried again."""
        now = self._resources.clock()
        with self._database.writing() as connection:
            row = claim_label_step(connection, object_id, step)
            if row is None:
                # Either it is past this step, or its run has ended.
                return Outcome.NEXT if is_label_unfinished(connection, object_id) else Outcome.STOP
            # A label that was being made while the driver was recalled.
            result = STEPS[step](connection, row, now) if row.recalled_at is None else RECALLED
            ended = self._end(connection, row, result, now)
        log.info("label %d: %s: %s", object_id, step, type(result).__name__.lower())
        return ended

    def give_up(self, object_id: int, step: str) -> None:
        """Fail a step that was tried often enough."""
        self.fail(object_id, step, [GIVEN_UP])

    def fail(self, object_id: int, step: str, messages: list[str]) -> None:
        """End the run at ``step``, if the label stands there, as failed with these messages."""
        with self._database.writing() as connection:
            row = claim_label_step(connection, object_id, step)
            if row is not None:
                self._end(connection, row, Failed(messages), self._resources.clock())

    def _end(self, connection: sa.Connection, row: sa.Row[Any], result: LabelStepResult, now: datetime) -> Outcome:
        match result:
            case Moved(changes):
                steps = course_of(row.destination).steps
                following = steps[steps.index(row.current_step) + 1 :][:1]
                moved = {"current_step": following[0]} if following else {"state": WorkflowState.COMPLETED}
                told = {"messages": [], "step_since": now, "updated_at": now}
                move_label(connection, row.id, {**told, **changes, **moved})
                _record(connection, row, "end_step", changes, now)
                return Outcome.NEXT if following else Outcome.STOP
            case Wait(until, messages, changes):
                move_label(connection, row.id, {**changes, "wake_at": until, "messages": list(messages)})
                if changes:
                    _record(connection, row, "move_label", changes, now)
                return Outcome.STOP
            case Failed():
                move_label(connection, row.id, self._failure(connection, row, result, now))
                _record(connection, row, "fail_step", {"messages": result.messages}, now)
                return Outcome.STOP

    def _failure(self, connection: sa.Connection, row: sa.Row[Any], failed: Failed, now: datetime) -> dict[str, Any]:
        report = publish_label_error_report(self._resources.blobs, row, failed.report or failed.messages, now)
        shown = failed.messages[:MESSAGES_SHOWN]
        if len(failed.messages) > MESSAGES_SHOWN:
            shown.append(f"... and {len(failed.messages) - MESSAGES_SHOWN} more, which the error report lists")
        targeting = expire(connection, row) if failed.is_whole_label else take_back(connection, row)
        return {
            "state": WorkflowState.FAILED,
            "messages": shown,
            "error_report": report,
            "updated_at": now,
            **targeting,
        }


def _record(
    connection: sa.Connection, row: sa.Row[Any], action: str, changes: Mapping[str, Any], now: datetime
) -> None:
    """What became of a step, in the audit log: with the digest of what it changed."""
    digest = sha256(json.dumps(changes, sort_keys=True, default=str).encode()).hexdigest()
    told = {"step": row.current_step, "run": row.run, "resultSha256": digest}
    actor = WORKFLOW, course_of(row.destination).kind
    append(connection, act(row.account_id, now, actor, action, ("shipping label", row.id), **told))
