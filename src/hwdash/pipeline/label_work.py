"""What a step of a shipping label comes to.

A step of a label writes to the database alone, so it is one transaction: ``step(connection, row, now)``. ``row`` is the
label's, with the columns of storage/label_progress.py beside it; ``now`` is the service's time. What it raises is taken
for a passing fault, and it is run again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Moved:
    """The step is done: the label goes on to the next one. ``changes`` are columns that change with it."""

    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wait:
    """The workflow ends here, and a new one starts when the wait ends: at ``until``, or when somebody sets wake_at."""

    until: datetime | None
    messages: tuple[str, ...] = ()
    """What clients are told meanwhile."""
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The run is refused, for good."""

    messages: list[str]
    report: list[str] | None = None
    """The same for the error report, at full length."""
    is_whole_label: bool = False
    """It ends the entire label, and not only this run: nothing of it is offered any more."""


LabelStepResult = Moved | Wait | Failed
LabelSteps = Mapping[str, Callable[[sa.Connection, sa.Row[Any], datetime], LabelStepResult]]
