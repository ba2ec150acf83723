"""Statements that are compiled once: the same rows and the same errors as SQLAlchemy's own execution."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError

from hwdash.storage.compiled import Compiled
from hwdash.storage.database import Database
from hwdash.storage.tables import accounts, applications

NOW = datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=UTC)
ROW = {
    "id": 7,
    "tenant_id": "t",
    "name": "Ä",
    "policy": {"a": [True]},
    "created_at": NOW,
    "status": "enrolled",
}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    with closing(Database(f"sqlite:///{tmp_path / 'hwdash.db'}")) as database:
        database.create()
        with database.writing() as begun:
            yield begun


def test_values_are_stored_and_read_as_by_sqlalchemy(connection: sa.Connection) -> None:
    """Times with their zone, JSON, booleans; what is not given has the database's default."""
    returned = Compiled(accounts.insert().returning(*accounts.c)).execute(connection, ROW).one()
    one = sa.select(accounts).where(accounts.c.id == sa.bindparam("account"))
    own = connection.execute(one, {"account": 7}).one()
    read = Compiled(one).execute(connection, {"account": 7}).one()
    assert tuple(returned) == tuple(own) == tuple(read) == tuple(ROW.values())
    assert read._mapping == own._mapping
    given = {"client_id": "c", "account_id": 7, "name": "A", "roles": ["Manager"], "created_at": NOW}
    application = Compiled(applications.insert().returning(*applications.c)).execute(connection, given).one()
    assert application.is_disabled is False
    assert application.roles == ["Manager"]
    assert application.created_at == NOW


def test_a_statement_runs_with_other_values_each_time(connection: sa.Connection) -> None:
    insert = Compiled(accounts.insert())
    later = NOW.astimezone(timezone(timedelta(hours=5)))
    for number in range(20):
        insert.execute(connection, ROW | {"id": number, "tenant_id": str(number), "created_at": later})
    few = Compiled(sa.select(accounts.c.id, accounts.c.created_at).where(accounts.c.id < sa.bindparam("end")))
    for end in (0, 1, 20):
        assert few.execute(connection, {"end": end}).all() == [(number, NOW) for number in range(end)]
    assert few.execute(connection, {"end": 0}).one_or_none() is None


def test_a_fixed_value_in_a_statement_stays(connection: sa.Connection) -> None:
    Compiled(accounts.insert()).execute(connection, ROW)
    mine = sa.select(accounts.c.id).where(accounts.c.status == "enrolled", accounts.c.name == sa.bindparam("who"))
    statement = Compiled(mine)
    assert statement.execute(connection, {"who": "Ä"}).scalar_one() == 7
    assert statement.execute(connection, {"who": "B"}).scalar_one_or_none() is None


@pytest.mark.parametrize("change", [{"id": 8}, {"tenant_id": "u"}, {"id": 8, "tenant_id": "u", "name": None}])
def test_a_refusal_is_sqlalchemys_and_tells_no_values(connection: sa.Connection, change: dict[str, Any]) -> None:
    insert = Compiled(accounts.insert())
    insert.execute(connection, ROW)
    with pytest.raises(IntegrityError) as refused:
        insert.execute(connection, ROW | change)
    assert "Ä" not in str(refused.value)
    assert connection.execute(sa.select(sa.func.count()).select_from(accounts)).scalar_one() == 1


def test_a_naive_time_is_refused_before_anything_is_sent(connection: sa.Connection) -> None:
    with pytest.raises(ValueError, match="naive"):
        Compiled(accounts.insert()).execute(connection, ROW | {"created_at": NOW.replace(tzinfo=None)})
    assert connection.execute(sa.select(sa.func.count()).select_from(accounts)).scalar_one() == 0


def test_a_table_that_is_not_there_is_an_operational_error(connection: sa.Connection) -> None:
    with pytest.raises(OperationalError, match="no such table"):
        Compiled(sa.select(sa.table("nowhere", sa.column("id")))).execute(connection, {})
