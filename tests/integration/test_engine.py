"""The engine over a real database: what is enqueued runs, what is rolled back does not, what fails is tried again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hwdash.pipeline.engine import Course, Engine, Outcome, WorkflowQueue
from hwdash.storage.database import Database

STEPS = ("first", "second", "third")
COURSE = Course("trial", STEPS)
DEADLINE_SECONDS = 30


class Steps:
    """Records the calls, and lets a test wait for one."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []
        self.given_up: list[tuple[int, str]] = []
        self.ended = threading.Event()

    def run_step(self, submission_id: int, step: str) -> Outcome:
        self.calls.append((submission_id, step))
        if step == STEPS[-1]:
            self.ended.set()
        return Outcome.NEXT

    def give_up(self, submission_id: int, step: str) -> None:
        self.given_up.append((submission_id, step))
        self.ended.set()

    def wait(self) -> None:
        assert self.ended.wait(DEADLINE_SECONDS), f"not ended: {self.calls}"
        self.ended.clear()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'engine.db'}")
    database.create()
    yield database
    database.close()


@contextmanager
def started(database: Database, steps: Steps) -> Iterator[WorkflowQueue]:
    engine = Engine(database, {COURSE: steps}, attempts=3, first_pause=0.01)
    queue = WorkflowQueue(database)
    engine.start()
    try:
        yield queue
    finally:
        engine.stop()
        queue.close()


def test_runs_the_steps_in_order_once_the_transaction_commits(database: Database) -> None:
    steps = Steps()
    with started(database, steps) as queue:
        with database.writing() as connection:
            queue.enqueue(connection, COURSE, 7, "1")
            assert steps.calls == []
        steps.wait()
    assert steps.calls == [(7, each) for each in STEPS]


def test_does_not_run_what_was_rolled_back(database: Database) -> None:
    steps = Steps()
    with started(database, steps) as queue:
        with database.engine.connect() as connection, connection.begin() as transaction:
            queue.enqueue(connection, COURSE, 7, "1")
            transaction.rollback()
        with database.writing() as connection:
            queue.enqueue(connection, COURSE, 8, "1")
        steps.wait()
    assert {submission for submission, _ in steps.calls} == {8}


def test_enqueueing_the_same_attempt_twice_runs_it_once(database: Database) -> None:
    steps = Steps()
    with started(database, steps) as queue:
        for submission in (7, 7, 8):
            with database.writing() as connection:
                queue.enqueue(connection, COURSE, submission, "1")
        steps.wait()
        if len(steps.calls) < 2 * len(STEPS):
            steps.wait()
    assert sorted(steps.calls) == sorted((submission, each) for submission in (7, 8) for each in STEPS)


def test_tries_again_what_raises_and_goes_on(database: Database) -> None:
    class FailsAtFirst(Steps):
        def run_step(self, submission_id: int, step: str) -> Outcome:
            tried = self.calls.count((submission_id, step))
            outcome = super().run_step(submission_id, step)
            if step == "second" and tried < 2:
                raise ConnectionError("the scanner is not there")
            return outcome

    steps = FailsAtFirst()
    with started(database, steps) as queue:
        with database.writing() as connection:
            queue.enqueue(connection, COURSE, 7, "1")
        steps.wait()
    assert [step for _, step in steps.calls] == ["first", "second", "second", "second", "third"]
    assert steps.given_up == []


def test_gives_up_after_the_last_attempt(database: Database) -> None:
    class AlwaysFails(Steps):
        def run_step(self, submission_id: int, step: str) -> Outcome:
            self.calls.append((submission_id, step))
            raise ConnectionError("the scanner is not there")

    steps = AlwaysFails()
    with started(database, steps) as queue:
        with database.writing() as connection:
            queue.enqueue(connection, COURSE, 7, "1")
        steps.wait()
    assert steps.given_up == [(7, "first")]
    assert len(steps.calls) == 3


def test_stops_where_a_step_says_so(database: Database) -> None:
    class Stops(Steps):
        def run_step(self, submission_id: int, step: str) -> Outcome:
            self.calls.append((submission_id, step))
            self.ended.set()
            return Outcome.STOP

    steps = Stops()
    with started(database, steps) as queue:
        with database.writing() as connection:
            queue.enqueue(connection, COURSE, 7, "1")
        steps.wait()
    assert steps.calls == [(7, "first")]


def test_each_kind_of_workflow_has_its_own_runner(database: Database) -> None:
    ones, others = Steps(), Steps()
    other = Course("other trial", ("third",))
    engine = Engine(database, {COURSE: ones, other: others})
    queue = WorkflowQueue(database)
    engine.start()
    try:
        with database.writing() as connection:
            queue.enqueue(connection, COURSE, 7, "1")
            queue.enqueue(connection, other, 7, "1")
        ones.wait()
        others.wait()
    finally:
        engine.stop()
        queue.close()
    assert ones.calls == [(7, each) for each in STEPS]
    assert others.calls == [(7, "third")]
