"""INSERTs that go to PostgreSQL in company: one statement, and still in order, all or none, with their own errors."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from hwdash.storage.compiled import Compiled, made_row
from hwdash.storage.database import Database
from hwdash.storage.tables import accounts, applications
from postgresql_cluster import cluster

NOW = datetime(2026, 11, 28, 7, 0, 0, 123456, tzinfo=UTC)
ACCOUNT = Compiled(accounts.insert())
APPLICATION = Compiled(applications.insert())
COUNT = sa.select(sa.func.count()).select_from(accounts)


def account(number: int) -> dict[str, Any]:
    return {"id": number, "tenant_id": f"t{number}", "name": "100%", "policy": {}, "created_at": NOW, "status": "x"}


def application(number: int, name: str = "%(name)s") -> dict[str, Any]:
    return {"client_id": f"c{number}", "account_id": number, "name": name, "roles": [], "created_at": NOW}


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    with cluster() as started:
        yield started.url


@pytest.fixture
def database(running: str) -> Iterator[Database]:
    with closing(Database(running, threads=1)) as made:
        made.create()
        with made.writing() as connection:
            connection.execute(applications.delete())
            connection.execute(accounts.delete())
        yield made


def commands(connection: sa.Connection) -> list[str]:
    """By which command of its transaction each row came, by PostgreSQL's own account."""
    both = sa.text("SELECT cmin::text FROM accounts UNION ALL SELECT cmin::text FROM applications")
    return list(connection.execute(both).scalars())


def test_what_depends_on_another_goes_with_it_in_one_statement(database: Database) -> None:
    """Parameters of the same name, values that look like parameters, a foreign key within the statement."""
    with database.writing() as connection:
        ACCOUNT.later(connection, account(1))
        APPLICATION.later(connection, application(1))
        ACCOUNT.later(connection, account(2))
    with database.reading() as connection:
        assert len(set(commands(connection))) == 1
        assert connection.execute(sa.select(accounts.c.name, accounts.c.id).order_by(accounts.c.id)).all() == [
            ("100%", 1),
            ("100%", 2),
        ]
        assert connection.execute(sa.select(applications.c.name)).scalars().all() == ["%(name)s"]


def test_a_statement_between_sees_what_came_before(database: Database) -> None:
    with database.writing() as connection:
        ACCOUNT.later(connection, account(1))
        assert connection.execute(COUNT).scalar_one() == 1
        ACCOUNT.later(connection, account(2))
        assert Compiled(COUNT).execute(connection, {}).scalar_one() == 2
        assert len(set(commands(connection))) == 2


def test_many_all_arrive(database: Database) -> None:
    with database.writing() as connection:
        for number in range(1, 31):
            ACCOUNT.later(connection, account(number))
    with database.reading() as connection:
        assert connection.execute(COUNT).scalar_one() == 30
        assert len(set(commands(connection))) < 10


def test_a_refusal_undoes_all_and_is_told_before_the_commit(database: Database) -> None:
    def store(connection: sa.Connection) -> None:
        ACCOUNT.later(connection, account(1))
        ACCOUNT.later(connection, account(2) | {"tenant_id": "t1"})

    with pytest.raises(IntegrityError, match="tenant_id") as refused, database.writing() as connection:
        store(connection)
    assert "100%" not in str(refused.value)
    with pytest.raises(IntegrityError):
        asyncio.run(database.write(store))
    # The connection that the thread keeps goes on, without what was refused.
    asyncio.run(database.write(lambda connection: ACCOUNT.later(connection, account(3))))
    with database.reading() as connection:
        assert connection.execute(sa.select(accounts.c.id)).scalars().all() == [3]


def test_what_the_caller_gives_up_is_not_sent(database: Database) -> None:
    def stop(connection: sa.Connection) -> None:
        ACCOUNT.later(connection, account(1))
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(database.write(stop))
    with pytest.raises(LookupError), database.writing() as connection:
        stop(connection)
    asyncio.run(database.write(lambda connection: ACCOUNT.later(connection, account(2))))
    with database.reading() as connection:
        assert connection.execute(sa.select(accounts.c.id)).scalars().all() == [2]


def test_a_made_row_is_the_stored_one(database: Database) -> None:
    with database.writing() as connection:
        ACCOUNT.later(connection, account(1))
        stored = connection.execute(sa.select(accounts)).one()
    assert made_row(accounts, account(1))._mapping == stored._mapping
    with pytest.raises(KeyError, match="status"):
        made_row(accounts, {name: value for name, value in account(1).items() if name != "status"})
