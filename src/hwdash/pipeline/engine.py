"""Durable work: the one place that knows DBOS (docs/adr/0004).

A workflow is enqueued in the caller's transaction and calls one function a step. The row of the object that it moves (a
submission, a preproduction package ...) is the truth; the engine only makes sure that the next step runs. Steps run at
least once: what they publish is fenced by the row (storage/submissions.py).

Permanent refusals are results, not exceptions: whatever a step raises is taken for a passing fault and tried again,
with growing pauses.
"""

import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import ModuleType
from typing import Any, Protocol

import sqlalchemy as sa

from hwdash.storage.database import BUSY_TIMEOUT_MS, Database

log = logging.getLogger(__name__)

WORKFLOW = "hwdash"
QUEUE = "hwdash"
# The version of the workflow's shape, not of hwdash: it changes only when the order of steps changes without
# DBOS.patch.
APPLICATION_VERSION = "1"
EXECUTOR_ID = "hwdash"
# Pauses of 1 s, 2 s, 4 s ...: about 17 minutes in all.
ATTEMPTS = 11
FIRST_PAUSE_SECONDS = 1.0
# A workflow that was found unfinished this often at start-up is left for an operator.
RECOVERIES = 1000
POLLING_SECONDS = 0.1
# What a step gets to end in when the service is stopped; a longer one is run again at the next start.
GRACE_SECONDS = 5


class Outcome(StrEnum):
    """What became of a step."""

    NEXT = "next"
    """It is done, or was done before: go on."""
    STOP = "stop"
    """The workflow ends here: failed, finished, or waiting for a person."""


@dataclass(frozen=True, slots=True)
class Course:
    """A kind of workflow: its name, which stays for ever, and its steps in order."""

    kind: str
    steps: tuple[str, ...]


class Runner(Protocol):
    """What runs the steps of one kind of workflow, for the object of an id."""

    def run_step(self, object_id: int, step: str) -> Outcome:
        """Run a step if the object stands there. Whatever it raises is tried again."""
        ...

    def give_up(self, object_id: int, step: str) -> None:
        """Fail a step that was tried often enough."""
        ...


class _Running:
    """What the workflows of this process call."""

    runners: Mapping[str, Runner]
    attempts: int
    first_pause: float
    under_way = 0


@cache
def _dbos() -> ModuleType:
    """DBOS with our workflow in it, loaded when it is first needed: commands and a service's start wait for it no
    sooner.
    """
    dbos = importlib.import_module("dbos")
    dbos.DBOS.workflow(name=WORKFLOW, max_recovery_attempts=RECOVERIES)(_workflow)
    return dbos


def _workflow(kind: str, object_id: int, steps: list[str]) -> str:
    dbos = _dbos()
    for step in steps:
        try:
            outcome = dbos.DBOS.run_step(
                {
                    "name": step,
                    "retries_allowed": True,
                    "max_attempts": _Running.attempts,
                    "interval_seconds": _Running.first_pause,
                    "backoff_rate": 2.0,
                },
                _step,
                kind,
                object_id,
                step,
            )
        except dbos.error.DBOSMaxStepRetriesExceeded:
            dbos.DBOS.run_step({"name": f"{step} given up"}, _gave_up, kind, object_id, step)
            return Outcome.STOP
        if outcome != Outcome.NEXT:
            return str(outcome)
    return Outcome.STOP


def _step(kind: str, object_id: int, step: str) -> str:
    _Running.under_way += 1
    try:
        return str(_Running.runners[kind].run_step(object_id, step))
    except Exception:
        log.exception("%s %d: %s did not go through, and will be tried again", kind, object_id, step)
        raise
    finally:
        _Running.under_way -= 1


def _gave_up(kind: str, object_id: int, step: str) -> None:
    _Running.runners[kind].give_up(object_id, step)


def _workflow_engine(database: Database) -> sa.Engine:
    """DBOS's own connections to the same database: it begins its transactions by its own rules."""
    if not database.is_sqlite:
        return database.engine
    engine = sa.create_engine(database.url, connect_args={"check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


class WorkflowQueue:
    """Starts workflows, from any process that has the database: the service, or ``hwdash admin`` beside it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known_client: Any = None

    @property
    def _client(self) -> Any:
        if self._known_client is None:
            engine = _workflow_engine(self._database)
            self._known_client = _dbos().DBOSClient(system_database_engine=engine, lazy=True)
        return self._known_client

    def enqueue(self, connection: sa.Connection, course: Course, object_id: int, attempt: str) -> None:
        """Start the object's workflow when, and only when, the caller's transaction commits.

        ``attempt`` makes the workflow's id: a second call with the same one changes nothing.
        """
        self._client.enqueue_in_transaction(
            connection,
            {
                "workflow_name": WORKFLOW,
                "queue_name": QUEUE,
                "workflow_id": f"{course.kind}-{object_id}-{attempt}",
                "app_version": APPLICATION_VERSION,
            },
            course.kind,
            object_id,
            list(course.steps),
        )

    def close(self) -> None:
        """Give the connections back."""
        if self._known_client is not None:
            self._known_client.destroy()


class Engine:
    """The workflows of this process. One a process: DBOS keeps its state in the process."""

    def __init__(
        self,
        database: Database,
        runners: Mapping[Course, Runner],
        *,
        concurrency: int = 2,
        attempts: int = ATTEMPTS,
        first_pause: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        self._database = database
        self._concurrency = concurrency
        _Running.runners = {course.kind: runner for course, runner in runners.items()}
        _Running.attempts = attempts
        _Running.first_pause = first_pause
        self._engine = _workflow_engine(database)
        self._started = False

    def start(self) -> None:
        """Take up the workflows that a former process left unfinished, and wait for new ones."""
        logging.getLogger("dbos").setLevel(logging.WARNING)
        dbos = _dbos().DBOS
        config = {
            "name": "hwdash",
            "system_database_url": "sqlite:///hwdash" if self._database.is_sqlite else "postgresql://hwdash/hwdash",
            "system_database_engine": self._engine,
            "application_version": APPLICATION_VERSION,
            "executor_id": EXECUTOR_ID,
            "log_level": "WARNING",
            "use_listen_notify": False,
        }
        dbos(config=config)
        dbos.launch()
        dbos.register_queue(
            QUEUE,
            worker_concurrency=self._concurrency,
            polling_interval_sec=POLLING_SECONDS,
            on_conflict="always_update",
        )
        self._started = True

    def stop(self) -> None:
        """Let go. A step that is running is run again at the next start."""
        if self._started:
            self._started = False
            _dbos().DBOS.destroy(workflow_completion_timeout_sec=GRACE_SECONDS if _Running.under_way else 0)
