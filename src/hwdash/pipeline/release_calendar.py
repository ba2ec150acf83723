"""Does the release calendar hold a label back (domain/calendar.py)?"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.calendar import Hold, hold
from hwdash.domain.policy import Policy
from hwdash.pipeline.finalize_pre_processing import approval_reasons, is_for_test_machines
from hwdash.pipeline.label_targets import targets_of
from hwdash.storage.calendar import windows_of


def held_back(connection: sa.Connection, label: sa.Row[Any], moment: datetime) -> Hold | None:
    """What holds the label back, if it is to go live at this moment; None when nothing does.

    Test machines get drivers on every day, and what is taken away is taken away at once. ``label`` is the row of a
    claimed step, or any with an approval.
    """
    if not Policy.of(label.policy).release_calendar or is_for_test_machines(label):
        return None
    targets = targets_of(connection, label)
    if targets.is_expiry:
        return None
    # Where the policy asks nobody, what would have been asked about is held back all the same.
    needs_approval = label.approval is not None or any(approval_reasons(label, targets))
    return hold(windows_of(connection), moment, needs_approval=needs_approval)
