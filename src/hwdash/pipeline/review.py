"""A person's word on a submission that waits in manualReview: it ends the step, and a new workflow goes on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.submission import next_step
from hwdash.pipeline.engine import WorkflowQueue
from hwdash.pipeline.report import publish_error_report
from hwdash.pipeline.submission import SUBMISSION
from hwdash.storage.blobs import BlobStore
from hwdash.storage.submissions import claim_step, end_step, submissions_at
from hwdash.vocabulary import SubmissionStep, WorkflowState


class NotInReview(Exception):
    """The submission does not wait for a review."""


def waiting(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """The submissions that wait for a review or are about to pass it, oldest first."""
    return submissions_at(connection, SubmissionStep.MANUAL_REVIEW)


def approve(connection: sa.Connection, queue: WorkflowQueue, submission_id: int, reason: str, now: datetime) -> None:
    """Let it go on to signing. Raises NotInReview."""
    changes = {"current_step": next_step(SubmissionStep.MANUAL_REVIEW), "state": WorkflowState.STARTED}
    row = _claim(connection, submission_id)
    _end(connection, row, {"decision": "approved", "reason": reason}, changes, now)
    queue.enqueue(connection, SUBMISSION, submission_id, f"reviewed-{row.fence}")


def reject(connection: sa.Connection, blobs: BlobStore, submission_id: int, reason: str, now: datetime) -> None:
    """Fail it, with the reason among its messages and in its error report. Raises NotInReview."""
    messages = [f"ERROR review.rejected: {reason}"]
    row = _claim(connection, submission_id)
    report = publish_error_report(blobs, row.id, row.test_harness, SubmissionStep.MANUAL_REVIEW, messages, now)
    changes = {"state": WorkflowState.FAILED, "messages": messages, "finished_at": now}
    _end(connection, row, {"decision": "rejected", "reason": reason}, changes, now, [report])


def _claim(connection: sa.Connection, submission_id: int) -> sa.Row[Any]:
    row = claim_step(connection, submission_id, SubmissionStep.MANUAL_REVIEW)
    if row is None:
        raise NotInReview(f"submission {submission_id} does not wait for a review")
    return row


def _end(
    connection: sa.Connection,
    row: sa.Row[Any],
    result: dict[str, str],
    changes: dict[str, Any],
    now: datetime,
    files: Sequence[tuple[str, str, str]] = (),
) -> None:
    step = SubmissionStep.MANUAL_REVIEW
    end_step(connection, row.id, step, fence=row.fence, result=result, changes=changes, files=files, now=now)
