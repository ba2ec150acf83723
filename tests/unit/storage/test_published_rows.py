"""The candidates for a machine are found by keys alone, in one statement."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hwdash.storage.accounts import create_account
from hwdash.storage.database import Database
from hwdash.storage.offers import find_candidates
from published import NOW, publish

IDS = ["usb\\a", "usb\\b"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path / 'offers.db'}")) as database:
        database.create()
        yield database


def test_one_statement_that_searches_by_key_whatever_is_published(database: Database) -> None:
    chid = str(uuid.uuid4())
    with database.writing() as connection:
        account = create_account(connection, "A", NOW).id
        for number in range(3):
            publish(connection, account, [*IDS, *(f"usb\\other{number}-{each}" for each in range(200))], chids=[chid])
    sent: list[tuple[str, Any]] = []
    with database.reading() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *call: sent.append((call[2], call[3])))
        assert len(find_candidates(connection, account, IDS, [chid])) == 6
        ((statement, values),) = sent
        plan = [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    reads = [line for line in plan if line.startswith(("SCAN", "SEARCH"))]
    assert len(reads) >= 7
    assert [line for line in reads if not line.startswith("SEARCH")] == []
    assert any("ix_label_hardware_ids_hardware_id (hardware_id=?)" in line for line in reads)


def test_a_row_says_which_of_the_asked_chids_the_label_names(database: Database) -> None:
    mine, other, waiting = (str(uuid.uuid4()) for _ in range(3))
    with database.writing() as connection:
        account = create_account(connection, "A", NOW).id
        publish(connection, account, ["usb\\free"])
        publish(connection, account, ["usb\\bound"], chids=[mine, other])

    def found(*chids: str) -> dict[str, tuple[bool, str | None]]:
        with database.reading() as connection:
            rows = find_candidates(connection, account, ["usb\\free", "usb\\bound"], chids)
            return {row.hardware_id: (bool(row.has_chids), row.own_chids) for row in rows}

    assert found(mine, waiting) == {"usb\\free": (False, None), "usb\\bound": (True, mine)}
    assert found() == {"usb\\free": (False, None), "usb\\bound": (True, None)}
    both = found(mine, other)["usb\\bound"][1]
    assert sorted((both or "").split()) == sorted([mine, other])
