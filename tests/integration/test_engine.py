"""The engine over a real database: what is enqueued runs, what is rolled back does not, what fails is tried again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hwdash.pipeline.engine import Engine, GiveUp, Outcome, RunStep, WorkflowQueue
from hwdash.storage.database import Database

STEPS = ["first", "second", "third"]
DEADLINE_SECONDS = 30


class Steps:
    """Records the calls, and lets a test wait for one."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []
        self.given_up: list[tuple[int, str]] = []
        self.ended = threading.Event()

    def run(self, submission_id: int, step: str) -> Outcome:
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
def started(database: Database, run_step: RunStep, give_up: GiveUp) -> Iterator[WorkflowQueue]:
    engine = Engine(database, run_step=run_step, give_up=give_up, attempts=3, first_pause=0.01)
    queue = WorkflowQueue(database, STEPS)
    engine.start()
    try:
        yield queue
    finally:
        engine.stop()
        queue.close()


def test_runs_the_steps_in_order_once_the_transaction_commits(database: Database) -> None:
    steps = Steps()
    with started(database, steps.run, steps.give_up) as queue:
        with database.writing() as connection:
            queue.enqueue(connection, 7, "1")
            assert steps.calls == []
        steps.wait()
    assert steps.calls == [(7, each) for each in STEPS]


def test_does_not_run_what_was_rolled_back(database: Database) -> None:
    steps = Steps()
    with started(database, steps.run, steps.give_up) as queue:
        with database.engine.connect() as connection, connection.begin() as transaction:
            queue.enqueue(connection, 7, "1")
            transaction.rollback()
        with database.writing() as connection:
            queue.enqueue(connection, 8, "1")
        steps.wait()
    assert {submission for submission, _ in steps.calls} == {8}


def test_enqueueing_the_same_attempt_twice_runs_it_once(database: Database) -> None:
    steps = Steps()
    with started(database, steps.run, steps.give_up) as queue:
        for submission in (7, 7, 8):
            with database.writing() as connection:
                queue.enqueue(connection, submission, "1")
        steps.wait()
        if len(steps.calls) < 2 * len(STEPS):
            steps.wait()
    assert sorted(steps.calls) == sorted((submission, each) for submission in (7, 8) for each in STEPS)


def test_tries_again_what_raises_and_goes_on(database: Database) -> None:
    steps = Steps()

    def fails_at_first(submission_id: int, step: str) -> Outcome:
        tried = steps.calls.count((submission_id, step))
        outcome = steps.run(submission_id, step)
        if step == "second" and tried < 2:
            raise ConnectionError("the scanner is not there")
        return outcome

    with started(database, fails_at_first, steps.give_up) as queue:
        with database.writing() as connection:
            queue.enqueue(connection, 7, "1")
        steps.wait()
    assert [step for _, step in steps.calls] == ["first", "second", "second", "second", "third"]
    assert steps.given_up == []


def test_gives_up_after_the_last_attempt(database: Database) -> None:
    steps = Steps()

    def always_fails(submission_id: int, step: str) -> Outcome:
        steps.calls.append((submission_id, step))
        raise ConnectionError("the scanner is not there")

    with started(database, always_fails, steps.give_up) as queue:
        with database.writing() as connection:
            queue.enqueue(connection, 7, "1")
        steps.wait()
    assert steps.given_up == [(7, "first")]
    assert len(steps.calls) == 3


def test_stops_where_a_step_says_so(database: Database) -> None:
    steps = Steps()

    def stops(submission_id: int, step: str) -> Outcome:
        steps.calls.append((submission_id, step))
        steps.ended.set()
        return Outcome.STOP

    with started(database, stops, steps.give_up) as queue:
        with database.writing() as connection:
            queue.enqueue(connection, 7, "1")
        steps.wait()
    assert steps.calls == [(7, "first")]
