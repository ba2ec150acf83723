"""Two kinds of transaction: what shares a commit, what a refused write undoes, where a point read runs."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError

from hwdash.storage.database import Database
from hwdash.storage.tables import accounts

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'hwdash.db'}")
    made.create()
    yield made
    made.close()


def add(connection: sa.Connection, number: int) -> int:
    connection.execute(accounts.insert().values(id=number, tenant_id=str(number), name="A", policy={}, created_at=NOW))
    return number


def stored(database: Database) -> set[int]:
    with database.reading() as connection:
        return set(connection.execute(sa.select(accounts.c.id)).scalars())


def commits(database: Database) -> list[object]:
    """A list that grows by one with each commit of a writing transaction."""
    seen: list[object] = []
    sa.event.listen(database.engine, "commit", seen.append)
    return seen


def together(database: Database, *writes: Callable[[sa.Connection], Any]) -> list[Any]:
    """Writes that all wait while a first one is under way; what each gave or raised."""
    begun, let_go = threading.Event(), threading.Event()

    def first(_connection: sa.Connection) -> None:
        begun.set()
        assert let_go.wait(20)

    async def run() -> list[Any]:
        blocking = asyncio.ensure_future(database.write(first))
        assert await asyncio.to_thread(begun.wait, 20)
        waiting: list[Awaitable[Any]] = [asyncio.ensure_future(database.write(write)) for write in writes]
        await asyncio.sleep(0)  # each has put itself into the queue
        let_go.set()
        await blocking
        return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(run())


def test_writes_that_wait_share_a_commit(database: Database) -> None:
    seen = commits(database)
    assert together(database, *[lambda connection, n=n: add(connection, n) for n in range(10)]) == list(range(10))
    assert stored(database) == set(range(10))
    assert len(seen) == 2  # of the one under way, and of all that waited


def test_a_refused_write_undoes_its_own_and_no_others(database: Database) -> None:
    def refused(connection: sa.Connection) -> None:
        add(connection, 7)
        raise ValueError("refused")

    outcomes = together(
        database, lambda c: add(c, 1), refused, lambda c: add(c, 2), lambda c: add(c, 1), lambda c: add(c, 3)
    )
    assert (outcomes[0], outcomes[2], outcomes[4]) == (1, 2, 3)
    assert isinstance(outcomes[1], ValueError)
    assert isinstance(outcomes[3], IntegrityError)
    assert stored(database) == {1, 2, 3}


def test_a_commit_that_fails_fails_for_all_that_share_it(database: Database) -> None:
    def fail(_connection: sa.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    def poisoned(connection: sa.Connection) -> int:
        sa.event.listen(database.engine, "commit", fail)
        return add(connection, 2)

    outcomes = together(database, lambda c: add(c, 1), poisoned, lambda c: add(c, 3))
    sa.event.remove(database.engine, "commit", fail)
    assert [type(each) for each in outcomes] == [sqlite3.OperationalError] * 3
    assert stored(database) == set()
    assert together(database, lambda c: add(c, 4)) == [4]


def test_a_write_that_nobody_waits_for_any_more_is_not_begun(database: Database) -> None:
    begun, let_go = threading.Event(), threading.Event()

    def first(connection: sa.Connection) -> int:
        begun.set()
        assert let_go.wait(20)
        return add(connection, 1)

    async def run() -> None:
        blocking = asyncio.ensure_future(database.write(first))
        assert await asyncio.to_thread(begun.wait, 20)
        given_up = asyncio.ensure_future(database.write(add, 2))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        let_go.set()
        await blocking
        assert await database.write(add, 3) == 3

    asyncio.run(run())
    assert stored(database) == {1, 3}


def thread_and_rows(connection: sa.Connection) -> tuple[int, set[int]]:
    return threading.get_ident(), set(connection.execute(sa.select(accounts.c.id)).scalars())


def test_a_point_read_runs_on_the_event_loop_and_sees_what_is_committed(database: Database) -> None:
    async def run() -> None:
        for number in range(3):
            await database.write(add, number)
            assert await database.read_point(thread_and_rows) == (threading.get_ident(), set(range(number + 1)))

    asyncio.run(run())


def test_a_point_read_that_would_wait_for_a_lock_is_done_by_a_thread(database: Database) -> None:
    async def run() -> tuple[int, set[int]]:
        loop_thread = threading.get_ident()

        def locked_on_the_loop(connection: sa.Connection) -> tuple[int, set[int]]:
            if threading.get_ident() == loop_thread:
                raise OperationalError("SELECT 1", {}, sqlite3.OperationalError("database is locked"))
            return thread_and_rows(connection)

        await database.write(add, 1)
        return await database.read_point(locked_on_the_loop)

    thread, rows = asyncio.run(run())
    assert thread != threading.get_ident()
    assert rows == {1}
