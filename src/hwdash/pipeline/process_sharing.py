"""processSharing: the receiver gets a product and a submission of its own, with the rows that the label shares.

A label that was changed comes here again: then what the receiver has becomes deprecated, and another submission stands
beside it (storage/shares.py). finalizeSharing has nothing left to do.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.pipeline.label_work import LabelStepResult, Moved
from hwdash.storage.label_progress import go_live
from hwdash.storage.shares import share


def run(connection: sa.Connection, row: sa.Row[Any], now: datetime) -> LabelStepResult:
    """Share what the label asks for by now."""
    received = share(connection, row, now)
    # Nothing of such a label is offered to machines.
    return Moved({**go_live(connection, row, now), "live_targeting": None, "received_submission_id": received})
