"""How the steps of every kind of workflow are claimed, run and ended.

A step's effect stands between two transactions. The first claims it and raises the fence; the second stores its result
and moves the row, only when the fence is still the same. A process that dies in between leaves files in the workspace
and nothing else; the next run starts the step again. Two runs at once end in one result: the later claim.
"""

import logging
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from hwdash.domain.audit import WORKFLOW, act
from hwdash.pipeline.engine import Outcome
from hwdash.pipeline.work import Done, Resources, StepFailed, Waiting, Work
from hwdash.signing.provenance import result_digest
from hwdash.storage.audit import append
from hwdash.storage.database import Database

log = logging.getLogger(__name__)

GIVEN_UP = (
    "The service could not finish this step although it tried for a while. Nothing is known to be wrong with the "
    "package; the operator finds the reason in the service's log."
)

_SIGNING = "signing"

Steps = Mapping[str, Callable[[Work], Done | Waiting]]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a step ends: its result, the columns that change with it, what is published, and whether that was all."""

    result: dict[str, Any]
    changes: dict[str, Any]
    files: list[tuple[str, str, str]] = field(default_factory=list)
    is_last: bool = False
    examination: str = ""


class FencedWorkflow(ABC):
    """Runs the steps of one kind of workflow, one call a step."""

    kind: str
    object_kind: str
    """What is moved, as the audit log names it."""
    steps: Steps

    def __init__(self, database: Database, resources: Resources) -> None:
        self._database = database
        self.resources = resources

    def run_step(self, object_id: int, step: str) -> Outcome:
        """Run ``step`` if the object stands there. Raises whatever may pass when it is tried again."""
        work = self._claim(object_id, step)
        if work is None:
            # Either it is past this step, or its workflow has ended.
            with self._database.reading() as connection:
                return Outcome.NEXT if self.is_unfinished(connection, object_id) else Outcome.STOP
        work.workspace.mkdir(parents=True, exist_ok=True)
        try:
            done = self.steps[step](work)
        except StepFailed as refusal:
            return self._end(work, step, self.failed(work, step, refusal.messages), "fail_step")
        if isinstance(done, Waiting):
            log.info("%s %d: %s", self.kind, object_id, done.reason)
            return Outcome.STOP
        ending = replace(self.advanced(step, done), examination=done.examination)
        return self._end(work, step, ending, "end_step")

    def give_up(self, object_id: int, step: str) -> None:
        """Fail a step that was tried often enough."""
        work = self._claim(object_id, step)
        if work is not None:
            self._end(work, step, self.failed(work, step, [GIVEN_UP]), "fail_step")

    def _claim(self, object_id: int, step: str) -> Work | None:
        with self._database.writing() as connection:
            return self.claim(connection, object_id, step)

    def _end(self, work: Work, step: str, ending: Ending, action: str) -> Outcome:
        with self._database.writing() as connection:
            ended = self.store(connection, work, step, ending)
            if ended:
                self._record(connection, work, step, ending, action)
        became = "ended, and the workflow with it" if ending.is_last else "ended"
        log.info("%s %d: %s %s", self.kind, work.object_id, step, became if ended else "was taken over by another run")
        if ending.is_last and ended:
            shutil.rmtree(work.workspace, ignore_errors=True)
        return Outcome.STOP if ending.is_last else Outcome.NEXT

    def _record(self, connection: sa.Connection, work: Work, step: str, ending: Ending, action: str) -> None:
        """The end of the step in the audit log, and each signature that it made."""
        now, actor, thing = self.resources.clock(), (WORKFLOW, self.kind), (self.object_kind, work.object_id)
        digest = result_digest(ending.result)
        append(connection, act(work.account_id, now, actor, action, thing, step=step, resultSha256=digest))
        made = [*ending.result.get("catalogs", ()), *ending.result.get("files", ())] if step == _SIGNING else ()
        for each in made:
            told = {name: ending.result[name] for name in ("identity", "certificate", "when")}
            told |= {"path": each["path"], "signedDataSha256": each["signature"]}
            append(connection, act(work.account_id, now, actor, "sign", thing, **told))

    @abstractmethod
    def claim(self, connection: sa.Connection, object_id: int, step: str) -> Work | None:
        """Claim the step and raise the fence; None when the object does not stand there."""

    @abstractmethod
    def is_unfinished(self, connection: sa.Connection, object_id: int) -> bool:
        """Is the object's workflow still under way?"""

    @abstractmethod
    def advanced(self, step: str, done: Done) -> Ending:
        """The end of a step that went well."""

    @abstractmethod
    def failed(self, work: Work, step: str, messages: list[str]) -> Ending:
        """The end of a step, and of the workflow, that was refused."""

    @abstractmethod
    def store(self, connection: sa.Connection, work: Work, step: str, ending: Ending) -> bool:
        """Store the end of a step when the fence is still the same; False otherwise."""

    @abstractmethod
    def workspaces(self, connection: sa.Connection) -> Iterable[str]:
        """The names of the workspaces that unfinished workflows need."""


def sweep(database: Database, resources: Resources, workflows: Iterable[FencedWorkflow]) -> None:
    """Remove the workspaces that no unfinished workflow needs. For start-up, before any step runs."""
    with database.reading() as connection:
        needed = {name for each in workflows for name in each.workspaces(connection)}
    folder = resources.workspaces
    for each in folder.iterdir() if folder.is_dir() else ():
        if each.name not in needed:
            shutil.rmtree(each, ignore_errors=True)
