"""The waits of labels end once, however many processes look, on both databases; and the engine goes on with them."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa

from hwdash.domain.rollout import Wish
from hwdash.pipeline.approval import approve
from hwdash.pipeline.engine import Engine, Outcome, Runner, WorkflowQueue
from hwdash.pipeline.label import SHARING, WINDOWS_UPDATE
from hwdash.pipeline.review import Decision
from hwdash.pipeline.rollout_wishes import ask
from hwdash.server import label_wakes
from hwdash.server.label_wakes import wake_due_labels, wake_labels
from hwdash.server.service import Service
from hwdash.server.workflow_start import WorkflowStart
from hwdash.storage.database import Database
from postgresql_cluster import cluster
from stored_labels import AUTOMATIC, NOON, Stage

PROCESSES = 4
LABELS = 20
DEADLINE_SECONDS = 60


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with cluster() as made:
        yield made.url


@pytest.fixture(params=["sqlite", "postgresql"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'labels.db'}" if is_sqlite else request.getfixturevalue("postgresql")
    database = Database(url)
    database.create()
    yield Stage(database, tmp_path)
    database.close()


@contextmanager
def started(stage: Stage, runner: Runner) -> Iterator[tuple[Engine, WorkflowQueue]]:
    engine = Engine(stage.database, {WINDOWS_UPDATE: runner, SHARING: runner}, attempts=3, first_pause=0.01)
    queue = WorkflowQueue(stage.database)
    engine.start()
    try:
        yield engine, queue
    finally:
        engine.stop()
        queue.close()


class Counting:
    """Counts how often each label's workflow began."""

    def __init__(self, expected: int) -> None:
        self.began: Counter[int] = Counter()
        self.all_began = threading.Event()
        self._expected = expected
        self._lock = threading.Lock()

    def run_step(self, label_id: int, _step: str) -> Outcome:
        with self._lock:
            self.began[label_id] += 1
            if self.began.total() >= self._expected:
                self.all_began.set()
        return Outcome.STOP

    def give_up(self, label_id: int, step: str) -> None:
        raise AssertionError(f"given up: {label_id} {step}")


def test_processes_that_look_at_once_wake_each_label_once(stage: Stage) -> None:
    submission_id = stage.new_submission()
    kinds = ("windowsUpdate", "anotherPartner")
    labels = [stage.new_label(submission_id, destination=kinds[number % 2]) for number in range(LABELS)]
    early = stage.new_label(submission_id)
    for label_id in labels:
        stage.change(label_id, wake_at=NOON)
    stage.change(early, wake_at=NOON.replace(hour=13))
    counting = Counting(LABELS)
    barrier = threading.Barrier(PROCESSES)

    def process() -> int:
        database = Database(stage.database.url)
        queue = WorkflowQueue(database)
        try:
            barrier.wait()
            with database.writing() as connection:
                return wake_due_labels(connection, queue, NOON)
        finally:
            queue.close()
            database.close()

    with started(stage, counting), ThreadPoolExecutor(PROCESSES) as threads:
        woken = [each.result() for each in [threads.submit(process) for _ in range(PROCESSES)]]
        assert counting.all_began.wait(DEADLINE_SECONDS), counting.began
    assert sum(woken) == LABELS
    assert counting.began == Counter(labels)
    assert all((stage.label(each).wakes, stage.label(each).wake_at) == (1, None) for each in labels)
    assert (stage.label(early).wakes, stage.label(early).wake_at) == (0, NOON.replace(hour=13))


def test_a_wake_whose_transaction_fails_is_not_lost(stage: Stage) -> None:
    label_id = stage.new_label(stage.new_submission())
    stage.change(label_id, wake_at=NOON)
    counting = Counting(1)
    with started(stage, counting) as (_, queue):
        with stage.database.engine.connect() as connection, connection.begin() as transaction:
            assert wake_due_labels(connection, queue, NOON) == 1
            transaction.rollback()
        with stage.database.writing() as connection:
            assert wake_due_labels(connection, queue, NOON) == 1
        assert counting.all_began.wait(DEADLINE_SECONDS)
    assert counting.began == Counter([label_id])


class Watched:
    """The workflow, which tells when a label reaches what a test waits for."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.waited_for: tuple[int, str] = (0, "")
        self.reached = threading.Event()

    def run_step(self, label_id: int, step: str) -> Outcome:
        outcome = self._stage.workflow.run_step(label_id, step)
        if label_id == self.waited_for[0] and self._is_reached():
            self.reached.set()
        return outcome

    def give_up(self, label_id: int, step: str) -> None:
        self._stage.workflow.give_up(label_id, step)

    def _is_reached(self) -> bool:
        label_id, what = self.waited_for
        label = self._stage.label(label_id)
        return " ".join([label.state, *label.messages]).startswith(what)

    async def reaches(self, label_id: int, what: str) -> None:
        self.reached.clear()
        self.waited_for = label_id, what
        if not self._is_reached():
            reached = await asyncio.to_thread(self.reached.wait, DEADLINE_SECONDS)
            assert reached, f"{self._stage.label(label_id).messages} is not {what}"


class Served:
    """What the waker needs of a service and its engine."""

    def __init__(self, stage: Stage, queue: WorkflowQueue) -> None:
        self.clock = stage.clock
        self.database = stage.database
        self.workflows = queue

    async def wait(self) -> None:
        """The engine has started."""


def test_a_label_goes_its_whole_way_by_the_services_clock(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_wakes, "EVERY_SECONDS", 0.01)
    label_id = stage.new_label(stage.new_submission(), specifications=AUTOMATIC)
    watched = Watched(stage)

    def say(function: Any, *arguments: Any) -> None:
        with stage.database.writing() as connection:
            assert function(connection, label_id, *arguments, Decision("Ann", "", NOON))

    async def story(queue: WorkflowQueue) -> None:
        served = Served(stage, queue)
        waker = asyncio.create_task(wake_labels(cast("Service", served), cast("WorkflowStart", served)))
        with stage.database.writing() as connection:
            queue.enqueue(connection, WINDOWS_UPDATE, label_id, "1.0")
        await watched.reaches(label_id, "started Waits for approval, promotion request")
        say(approve)
        stage.pass_time(seconds=15)
        await watched.reaches(label_id, "started Gradual rollout: 1 %, day 1 of 30")
        stage.pass_time(days=9)
        await watched.reaches(label_id, "started Gradual rollout: 10 %, day 10 of 30")
        say(ask, Wish.PAUSE)
        await watched.reaches(label_id, "started Gradual rollout: paused, 0 %, day 10 of 30")
        stage.pass_time(days=100)
        say(ask, Wish.RESUME)
        await watched.reaches(label_id, "started Gradual rollout: 10 %, day 10 of 30")
        stage.pass_time(days=21)
        await watched.reaches(label_id, "completed")
        waker.cancel()

    with started(stage, watched) as (_, queue):
        asyncio.run(asyncio.wait_for(story(queue), DEADLINE_SECONDS))
    label = stage.label(label_id)
    assert (label.current_step, label.state) == ("finalizePublishing", "completed")
    assert stage.states(label_id) == {"pci\\ven_1234&dev_5678&subsys_00011234": "added"}


def test_a_database_that_is_away_for_a_moment_is_asked_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(label_wakes, "EVERY_SECONDS", 0.0)
    label_id = stage.new_label(stage.new_submission())
    stage.change(label_id, wake_at=NOON)
    counting = Counting(1)

    class Away(Served):
        tries = 0

        async def read(self, *arguments: Any) -> Any:
            self.tries += 1
            if self.tries == 1:
                raise sa.exc.OperationalError("SELECT", {}, Exception("the server is away"))
            return await stage.database.read(*arguments)

        async def write(self, *arguments: Any) -> Any:
            return await stage.database.write(*arguments)

    async def story(queue: WorkflowQueue) -> None:
        away = Away(stage, queue)
        away.database = cast("Database", away)
        waker = asyncio.create_task(wake_labels(cast("Service", away), cast("WorkflowStart", away)))
        assert await asyncio.to_thread(counting.all_began.wait, DEADLINE_SECONDS)
        waker.cancel()

    with started(stage, counting) as (_, queue):
        asyncio.run(story(queue))
    assert counting.began == Counter([label_id])
    assert "were not woken" in caplog.text
    assert stage.label(label_id).wakes == 1
