"""publishJobValidation: has the submission's own workflow ended well? A label may be made before that.

Then who the label is to be visible to gets a read-only copy of the driver (contract/dashboard.md 141).
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.pipeline.label_work import Failed, LabelStepResult, Moved, Wait
from hwdash.storage.shares import ensure_reader
from hwdash.vocabulary import WorkflowState


def run(connection: sa.Connection, label: sa.Row[Any], now: datetime) -> LabelStepResult:
    """Wait for the submission; its end wakes the label."""
    if label.submission_state == WorkflowState.COMPLETED:
        for account_id in label.specifications.get("visibleToAccounts") or ():
            ensure_reader(connection, label, account_id, now)
        return Moved()
    if label.submission_state == WorkflowState.FAILED:
        return Failed(
            [
                f"ERROR label.submission-failed: submission {label.submission_id} failed, so there is nothing to "
                "distribute. Mend what its messages say, submit anew, and make a label of that submission."
            ]
        )
    return Wait(None, (f"Waits for submission {label.submission_id} to complete.",))
