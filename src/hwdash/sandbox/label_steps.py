"""The steps of shipping labels on the stage: which take longer by the sandbox's clock, and which of them fail.

Nothing sleeps: a step whose time has not come leaves the label with a time at which it is woken, as any wait of a label
does (server/label_wakes.py).
"""

import threading
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from hwdash.pipeline.engine import Outcome
from hwdash.pipeline.label import LabelWorkflow
from hwdash.sandbox.clock import SandboxClock
from hwdash.sandbox.playbill import Playbill
from hwdash.sandbox.scenario import CancelTakes, Fail, Occasion, Stuck
from hwdash.server.service import Service
from hwdash.storage.label_progress import claim_label_step, find_any_label, move_label

_MAX_DECIDED = 10_000
_NONE = timedelta(0)


class _Decision(NamedTuple):
    """How long a step takes, how it fails, and how long a cancel takes in it."""

    span: timedelta = _NONE
    messages: tuple[str, ...] = ()
    cancel_span: timedelta = _NONE


class StagedLabelSteps:
    """The Runner of the workflows of labels, with the scenario's word on each step (pipeline/engine.py)."""

    def __init__(self, runner: LabelWorkflow, service: Service, clock: SandboxClock, playbill: Playbill) -> None:
        self._runner = runner
        self._service = service
        self._clock = clock
        self._playbill = playbill
        self._decided: dict[tuple[int, int, str], _Decision] = {}
        self._lock = threading.Lock()

    def run_step(self, object_id: int, step: str) -> Outcome:
        """Run the step when its time has come, unless the scenario makes it fail."""
        with self._service.database.reading() as connection:
            row = find_any_label(connection, object_id)
        decision = self._decision(row, step) if row is not None and row.is_unfinished else _Decision()
        if decision != _Decision():
            if self._waits(object_id, step, decision):
                return Outcome.STOP
            if decision.messages and row is not None and not row.is_cancelled:
                self._runner.fail(object_id, step, list(decision.messages))
                return Outcome.STOP
        return self._runner.run_step(object_id, step)

    def give_up(self, object_id: int, step: str) -> None:
        """Fail a step that was tried often enough."""
        self._runner.give_up(object_id, step)

    def _waits(self, label_id: int, step: str, decision: _Decision) -> bool:
        """Whether its time has not come; then the label is woken when it does. Asked with the label held: a cancel or
        an approval comes before or after.
        """
        with self._service.database.writing() as connection:
            row = claim_label_step(connection, label_id, step)
            if row is None or (moment := _moment(row, decision)) <= self._clock():
                return False
            move_label(connection, label_id, {"wake_at": moment})
        return True

    def _decision(self, row: sa.Row[Any], step: str) -> _Decision:
        """What the scenario says of the step: decided when it is first asked for in a run, and kept."""
        if row.current_step != step:
            return _Decision()
        key = row.id, row.run, step
        with self._lock:
            if key not in self._decided:
                if len(self._decided) >= _MAX_DECIDED:
                    self._decided.clear()
                self._decided[key] = self._asked(row, step)
            return self._decided[key]

    def _asked(self, row: sa.Row[Any], step: str) -> _Decision:
        occasion = Occasion(
            account=row.account_id,
            product_id=row.product_id,
            product=row.product_name,
            submission_id=row.submission_id,
            step=step,
        )
        decision = _Decision()
        for effect in (each.effect for each in self._playbill.effects(occasion)):
            match effect:
                case Stuck(span):
                    decision = decision._replace(span=max(span, decision.span))
                case CancelTakes(span):
                    decision = decision._replace(cancel_span=max(span, decision.cancel_span))
                case Fail(messages) if not decision.messages:
                    decision = decision._replace(messages=messages)
        return decision


def _moment(row: sa.Row[Any], decision: _Decision) -> datetime:
    """When the step goes on. A cancel was the last change of a label that is cancelled."""
    moment: datetime = row.updated_at + decision.cancel_span if row.is_cancelled else row.step_since + decision.span
    return moment
