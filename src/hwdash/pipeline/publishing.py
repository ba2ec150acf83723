"""publishing: machines see what the run asked for, those that the gradual rollout had not reached, too."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.pipeline.label_work import LabelStepResult, Moved
from hwdash.storage.label_progress import go_live


def run(connection: sa.Connection, label: sa.Row[Any], now: datetime) -> LabelStepResult:
    """Let it go live. What a rollout made live is so already."""
    return Moved(go_live(connection, label, now))
