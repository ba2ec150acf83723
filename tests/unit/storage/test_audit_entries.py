"""The audit log in the database: with the act or not at all, in one order, one chain for each account."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from hwdash.domain.audit import FIRST_PREVIOUS, act, canonical, entry_hash
from hwdash.domain.merkle import Tree
from hwdash.storage.audit import (
    SEALED_AT_ONCE,
    all_entries,
    append,
    current_tree,
    entry_at,
    find_entries,
    is_anything_unsealed,
    seal,
    unsealed,
)
from hwdash.storage.audit_verification import verify
from hwdash.storage.database import Database
from postgresql_cluster import cluster

NOW = datetime(2026, 11, 28, 4, 0, 0, 123456, tzinfo=UTC)


def act_of(account: int, thing: object = 1, action: str = "create_product", **details: object):
    return act(account, NOW, ("application", "c"), action, ("product", thing), **details)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path / 'hwdash.db'}")) as made:
        made.create()
        yield made


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Database]:
    with cluster() as running, closing(Database(running.url)) as made:
        made.create()
        yield made


def test_the_bytes_that_are_hashed_are_these() -> None:
    """A format that others verify: it must not change by accident."""
    done = act(7, NOW, ("application", "c-1"), "create_product", ("product", 42), requestId="r", gone=None)
    assert canonical(done, 3, b"\xab" * 32) == (
        b'{"account":7,"action":"create_product","actor":["application","c-1"],"details":"{\\"requestId\\":\\"r\\"}",'
        b'"object":["product","42"],"previous":"' + b"ab" * 32 + b'","sequence":3,'
        b'"time":"2026-11-28T04:00:00.123456+00:00"}'
    )
    elsewhere = act(
        7, NOW.astimezone(timezone(timedelta(hours=5))), ("application", "c-1"), "create_product", ("product", 42)
    )
    assert b"2026-11-28T04:00:00.123456+00:00" in canonical(elsewhere, 1, FIRST_PREVIOUS)


def test_no_text_becomes_another_field() -> None:
    first = act(7, NOW, ("a", 'x","y'), "do", ("k", "z"))
    second = act(7, NOW, ("a", "x"), 'y","do', ("k", "z"))
    assert canonical(first, 1, FIRST_PREVIOUS) != canonical(second, 1, FIRST_PREVIOUS)


def test_what_no_database_takes_is_made_harmless(database: Database, postgresql: Database) -> None:
    for each in (database, postgresql):
        with each.writing() as connection:
            append(
                connection, act(1, NOW, ("unknown", "\0\ud800" + "x" * 999), "refused", ("r", "\0"), reason="\0\ud800")
            )
            seal(connection)
            (entry,) = find_entries(connection, account_id=1, action="refused")
        assert (len(entry.act.actor_id), entry.act.actor_id[:3]) == (200, "??x")
        assert json.loads(entry.act.details) == {"reason": "\0\ud800"}


def test_an_act_that_is_rolled_back_leaves_no_entry(database: Database) -> None:
    with database.writing() as connection:
        append(connection, act_of(1))
        connection.rollback()
    with database.writing() as connection:
        append(connection, act_of(1, "kept"))
    with database.writing() as connection:
        assert unsealed(connection) == 1
        assert seal(connection) == 1
        assert [each.act.object_id for each in all_entries(connection)] == ["kept"]
        assert not is_anything_unsealed(connection)


def test_each_account_has_a_chain_and_all_have_one_tree(database: Database) -> None:
    for round_ in range(3):
        with database.writing() as connection:
            append(connection, *(act_of(account, round_) for account in (5, 6, 5)))
        with database.writing() as connection:
            seal(connection)
    with database.reading() as connection:
        entries, tree = list(all_entries(connection)), current_tree(connection)
        assert entry_at(connection, 4) == entries[4]
        assert entry_at(connection, 9) is None
    assert [(each.position, each.act.account_id, each.sequence) for each in entries] == [
        (0, 5, 1), (1, 6, 1), (2, 5, 2), (3, 5, 3), (4, 6, 2), (5, 5, 4), (6, 5, 5), (7, 6, 3), (8, 5, 6),
    ]  # fmt: skip
    heads, own = {5: FIRST_PREVIOUS, 6: FIRST_PREVIOUS}, Tree()
    for each in entries:
        heads[each.act.account_id] = entry_hash(each.act, each.sequence, heads[each.act.account_id])
        assert each.hash == heads[each.act.account_id]
        own.append(each.hash)
    assert (tree.size, tree.root) == (9, own.root)


def test_the_newest_entries_that_are_asked_for_are_found(database: Database) -> None:
    with database.writing() as connection:
        append(connection, *(act_of(account, number) for account in (5, 6) for number in range(10)))
        seal(connection)
        found = find_entries(connection, account_id=6, limit=2)
        assert [(each.act.account_id, each.act.object_id) for each in found] == [(6, "8"), (6, "9")]
        assert [each.act.account_id for each in find_entries(connection, object_id="3")] == [5, 6]
        assert find_entries(connection, action="nothing") == []


def test_a_great_many_are_sealed_in_rounds(database: Database) -> None:
    count = SEALED_AT_ONCE * 2 + 1
    with database.writing() as connection:
        append(connection, *(act_of(1, number) for number in range(count)))
        assert [seal(connection) for _ in range(4)] == [SEALED_AT_ONCE, SEALED_AT_ONCE, 1, 0]
    with database.reading() as connection:
        result = verify(connection, [])
    assert (result.size, result.findings) == (count, [])


def test_processes_that_write_and_seal_at_once_make_one_log(postgresql: Database) -> None:
    """What commits late is sealed late; nothing is lost, doubled or put in a chain twice."""
    with postgresql.writing() as connection:
        seal(connection)
        before = current_tree(connection).size
        late = connection.engine.connect()
    with late, late.begin():
        append(late, act_of(77, "late"))

        def work(number: int) -> None:
            with postgresql.writing() as connection:
                append(connection, act_of(70 + number % 3, number))
            try:
                with postgresql.writing() as connection:
                    seal(connection)
            except IntegrityError:
                raise AssertionError("two sealed at once") from None

        with ThreadPoolExecutor(6) as threads:
            list(threads.map(work, range(60)))
        with postgresql.writing() as connection:
            seal(connection)
            assert current_tree(connection).size == before + 60
    with postgresql.writing() as connection:
        assert seal(connection) == 1
        things = [each.act.object_id for each in all_entries(connection)][before:]
    assert things[-1] == "late"
    assert sorted(map(int, things[:-1])) == list(range(60))
    with postgresql.reading() as connection:
        result = verify(connection, [])
    assert (result.size, result.unsealed, result.findings) == (before + 61, 0, [])


def test_an_append_waits_for_no_other_and_for_no_seal(postgresql: Database) -> None:
    """A lock would show as a timeout."""
    with postgresql.writing() as sealing, postgresql.writing() as other, postgresql.writing() as mine:
        append(other, act_of(1))
        seal(sealing)
        mine.execute(sa.text("SET LOCAL lock_timeout = '1s'"))
        append(mine, act_of(1))
