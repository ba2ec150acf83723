"""The steps of submissions on the stage: how long they take by the sandbox's clock, and which of them fail.

Nothing sleeps. A step whose time has not come ends the workflow, as a wait for a person does, and the waker starts a
new one when the clock gets there, on its own or because somebody moved it. When a step began is read from the rows, so
that a restarted service goes on waiting for the same moment.
"""

import heapq
import logging
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from hwdash.pipeline.engine import Outcome, Runner
from hwdash.pipeline.report import publish_error_report
from hwdash.pipeline.submission import SUBMISSION
from hwdash.sandbox.clock import SandboxClock
from hwdash.sandbox.playbill import Playbill
from hwdash.sandbox.scenario import Fail, Occasion, Stuck
from hwdash.server.service import Service
from hwdash.storage.submissions import claim_step, end_step, unfinished_submissions
from hwdash.storage.tables import products, submission_steps, submissions
from hwdash.vocabulary import SubmissionStep, WorkflowState

log = logging.getLogger(__name__)

REALISTIC: Mapping[str, timedelta] = {
    SubmissionStep.PACKAGE_INFO_VALIDATION: timedelta(minutes=1),
    SubmissionStep.PREPARATION: timedelta(minutes=2),
    SubmissionStep.SCANNING: timedelta(minutes=5),
    SubmissionStep.VALIDATION: timedelta(minutes=3),
    SubmissionStep.CATALOG_CREATION: timedelta(minutes=1),
    SubmissionStep.SIGNING: timedelta(minutes=2),
    SubmissionStep.FINALIZE_INGESTION: timedelta(minutes=1),
}
"""A quarter of an hour in all. Nobody published the real times of single steps: the sum is what logs of CI runs show
(microsoft/SDCM#53 waits for 20 minutes before it looks), the shares are ours.
"""

_MAX_DECIDED = 10_000


class Waker:
    """Calls ``wake(submission id)`` when the sandbox's clock gets to a moment. One thread, and it does not poll."""

    def __init__(self, clock: SandboxClock, wake: Callable[[int], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._due: list[tuple[datetime, int]] = []
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
        clock.on_move(self._look)

    def start(self) -> None:
        """Begin to wake."""
        self._thread.start()

    def stop(self) -> None:
        """End; what was not due yet is found again at the next start."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def at(self, moment: datetime, submission_id: int) -> None:
        """Wake this submission at this moment of the sandbox's clock."""
        with self._changed:
            heapq.heappush(self._due, (moment, submission_id))
            self._changed.notify()

    def _look(self) -> None:
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and not (self._due and self._due[0][0] <= self._clock()):
                    self._changed.wait(self._until_next())
                if self._stopped:
                    return
                _, submission_id = heapq.heappop(self._due)
            try:
                self._wake(submission_id)
            except Exception:
                log.exception("submission %d could not be woken, and will be in a moment", submission_id)
                self.at(self._clock() + timedelta(seconds=1), submission_id)

    def _until_next(self) -> float | None:
        """Seconds to the next moment; None when only a moved clock or a new moment brings one."""
        if not self._due or self._clock.is_frozen:
            return None
        return min(max((self._due[0][0] - self._clock()).total_seconds(), 0.001), threading.TIMEOUT_MAX)


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where a submission stands, and since when."""

    occasion: Occasion
    step: str
    since: datetime


class StagedSteps:
    """The Runner of the submission workflow, with the scenario's word on each step (pipeline/engine.py)."""

    def __init__(
        self, runner: Runner, service: Service, clock: SandboxClock, playbill: Playbill, *, realistic: bool
    ) -> None:
        self._runner = runner
        self._service = service
        self._clock = clock
        self._playbill = playbill
        self._times = REALISTIC if realistic else {}
        self._decided: dict[tuple[int, str], tuple[timedelta, tuple[str, ...]]] = {}
        self.waker = Waker(clock, self._wake)

    def run_step(self, object_id: int, step: str) -> Outcome:
        """Run the step when its time has come, unless the scenario makes it fail."""
        with self._service.database.reading() as connection:
            standing = _standing(connection, object_id)
        if standing is None or standing.step != step:
            return self._runner.run_step(object_id, step)
        span, messages = self._decision(object_id, step, standing.occasion)
        if (moment := standing.since + span) > self._clock():
            self.waker.at(moment, object_id)
            return Outcome.STOP
        if messages:
            self._fail(object_id, step, list(messages))
            return Outcome.STOP
        return self._runner.run_step(object_id, step)

    def give_up(self, object_id: int, step: str) -> None:
        """Fail a step that was tried often enough."""
        self._runner.give_up(object_id, step)

    def start(self) -> None:
        """Go on with what waited when the service was stopped, and begin to wake."""
        with self._service.database.reading() as connection:
            for each in unfinished_submissions(connection):
                self.waker.at(self._clock(), each)
        self.waker.start()

    def stop(self) -> None:
        """Wake nothing any more."""
        self.waker.stop()

    def _decision(self, submission_id: int, step: str, occasion: Occasion) -> tuple[timedelta, tuple[str, ...]]:
        """How long the step takes and how it fails: decided when it is first asked for, and kept."""
        decided = self._decided.get((submission_id, step))
        if decided is None:
            span = self._times.get(step, timedelta(0))
            messages: tuple[str, ...] = ()
            for effect in (each.effect for each in self._playbill.effects(occasion)):
                if isinstance(effect, Stuck):
                    span = max(span, effect.span)
                if isinstance(effect, Fail) and not messages:
                    messages = effect.messages
            if len(self._decided) >= _MAX_DECIDED:
                self._decided.clear()
            decided = self._decided[submission_id, step] = span, messages
        return decided

    def _wake(self, submission_id: int) -> None:
        with self._service.database.writing() as connection:
            self._service.workflows.enqueue(connection, SUBMISSION, submission_id, f"woken-{uuid.uuid4()}")

    def _fail(self, submission_id: int, step: str, messages: list[str]) -> None:
        """Fail it as a step of its own would: with an error report, and behind the same fence."""
        now = self._clock()
        with self._service.database.writing() as connection:
            row = claim_step(connection, submission_id, step)
            if row is None:
                return
            report = publish_error_report(self._service.blobs, submission_id, row.test_harness, step, messages, now)
            changes = {"state": WorkflowState.FAILED, "messages": messages, "finished_at": now}
            result = {"messages": messages}
            end_step(
                connection,
                submission_id,
                step,
                fence=row.fence,
                result=result,
                changes=changes,
                files=[report],
                now=now,
            )
        shutil.rmtree(self._service.settings.data / "work" / str(submission_id), ignore_errors=True)


def _standing(connection: sa.Connection, submission_id: int) -> _Standing | None:
    row = connection.execute(
        sa.select(submissions, products.c.name.label("product_name"))
        .join(products, products.c.id == submissions.c.product_id)
        .where(submissions.c.id == submission_id, submissions.c.state == WorkflowState.STARTED)
    ).one_or_none()
    if row is None:
        return None
    last = connection.execute(
        sa.select(submission_steps.c.finished_at)
        .where(submission_steps.c.submission_id == submission_id)
        .order_by(submission_steps.c.finished_at.desc())
        .limit(1)
    ).scalar_one_or_none()
    occasion = Occasion(
        account=row.account_id,
        product_id=row.product_id,
        product=row.product_name,
        submission_id=submission_id,
        step=row.current_step,
    )
    return _Standing(occasion, row.current_step, last or row.committed_at)
