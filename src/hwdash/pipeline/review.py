"""A person's word on a submission that waits in manualReview: it ends the step, and a new workflow goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.submission import next_step
from hwdash.pipeline.engine import WorkflowQueue
from hwdash.pipeline.report import publish_error_report
from hwdash.pipeline.submission import SUBMISSION
from hwdash.storage.blobs import BlobStore
from hwdash.storage.submissions import claim_step, end_step, step_results, submissions_at
from hwdash.vocabulary import SubmissionStep, WorkflowState

APPROVED, REJECTED = "approved", "rejected"
LONGEST_REASON = 2000


class NotInReview(Exception):
    """The submission does not wait for a review. The message says what became of it."""


class ReasonRefused(Exception):
    """The reason cannot be kept, or is missing."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's word: who, why and when. A rejection needs a reason."""

    by: str
    reason: str
    when: datetime


def waiting(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """The submissions that wait for a review or are about to pass it, oldest first."""
    return submissions_at(connection, SubmissionStep.MANUAL_REVIEW)


def approve(connection: sa.Connection, queue: WorkflowQueue, submission_id: int, decision: Decision) -> bool:
    """Let it go on to signing; False when it was approved before. Raises NotInReview and ReasonRefused."""
    check_reason(decision.reason)
    row = _claim(connection, submission_id, APPROVED)
    if row is None:
        return False
    changes = {"current_step": next_step(SubmissionStep.MANUAL_REVIEW), "state": WorkflowState.STARTED}
    _end(connection, row, APPROVED, decision, changes)
    queue.enqueue(connection, SUBMISSION, submission_id, f"reviewed-{row.fence}")
    return True


def reject(connection: sa.Connection, blobs: BlobStore, submission_id: int, decision: Decision) -> bool:
    """Fail it, with the reason among its messages and in its error report; False when it was rejected before.

    Raises NotInReview and ReasonRefused.
    """
    if not decision.reason.strip():
        raise ReasonRefused("a rejection needs a reason: the vendor reads it among the submission's messages")
    check_reason(decision.reason)
    row = _claim(connection, submission_id, REJECTED)
    if row is None:
        return False
    messages = [f"ERROR review.rejected: {decision.reason}"]
    report = publish_error_report(
        blobs, row.id, row.test_harness, SubmissionStep.MANUAL_REVIEW, messages, decision.when
    )
    changes = {"state": WorkflowState.FAILED, "messages": messages, "finished_at": decision.when}
    _end(connection, row, REJECTED, decision, changes, [report])
    return True


def check_reason(reason: str) -> None:
    """Raises ReasonRefused."""
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise ReasonRefused(f"the reason must be one line of at most {LONGEST_REASON} printable characters")


def _claim(connection: sa.Connection, submission_id: int, wanted: str) -> sa.Row[Any] | None:
    """Claim the waiting step; None when the wanted decision was made before."""
    row = claim_step(connection, submission_id, SubmissionStep.MANUAL_REVIEW)
    if row is None:
        made = step_results(connection, submission_id).get(SubmissionStep.MANUAL_REVIEW, {})
        if made.get("decision") == wanted:
            return None
        told = f": it is {made['decision']} by {made['by']}" if "by" in made else ""
        raise NotInReview(f"submission {submission_id} does not wait for a review{told}")
    return row


def _end(
    connection: sa.Connection,
    row: sa.Row[Any],
    word: str,
    decision: Decision,
    changes: dict[str, Any],
    files: Sequence[tuple[str, str, str]] = (),
) -> None:
    when = decision.when
    result = {"decision": word, "reason": decision.reason, "by": decision.by, "when": when.isoformat()}
    step = SubmissionStep.MANUAL_REVIEW
    end_step(connection, row.id, step, fence=row.fence, result=result, changes=changes, files=files, now=when)
