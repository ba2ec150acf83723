"""The audit log in the database.

``append`` is one INSERT in the transaction of the act: what is rolled back leaves no entry, and what is done has one.
It takes no lock that another write waits for. ``seal`` gives what has been appended its place, in an order of its own:
sequence in the account's chain, hash, and leaf of the tree. One seals at a time, whoever it is.
"""

import os
import pwd
from collections.abc import Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from hwdash.domain.audit import FIRST_PREVIOUS, OPERATOR, Act, Entry, entry_hash
from hwdash.domain.merkle import Tree
from hwdash.storage.audit_tables import audit_entries, audit_queue, audit_tree
from hwdash.storage.compiled import Compiled

SEALED_AT_ONCE = 500
"""So that a seal keeps no other write of SQLite waiting for long."""
PAGE = 2000

_ACT = tuple(each.name for each in fields(Act))
_values = attrgetter(*_ACT)
# Without RETURNING: nobody asks for the id.
_APPEND = Compiled(audit_queue.insert().inline())
_WAITING = Compiled(
    sa.select(audit_queue.c.id, *(audit_queue.c[name] for name in _ACT))
    .order_by(audit_queue.c.id)
    .limit(sa.literal_column(str(SEALED_AT_ONCE)))
)


def append(connection: sa.Connection, *acts: Act) -> None:
    """Put what the caller's transaction does into the log when that commits."""
    for each in acts:
        _APPEND.later(connection, dict(zip(_ACT, _values(each), strict=True)))


def operator() -> tuple[str, str]:
    """Who runs this process on the service's machine, as an actor."""
    try:
        return OPERATOR, pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return OPERATOR, f"uid {os.getuid()}"


def is_anything_unsealed(connection: sa.Connection) -> bool:
    """Whether there is something to seal."""
    return connection.execute(sa.select(audit_queue.c.id).limit(1)).first() is not None


def unsealed(connection: sa.Connection) -> int:
    """How many acts wait for their place."""
    return int(connection.execute(sa.select(sa.func.count()).select_from(audit_queue)).scalar_one())


def seal(connection: sa.Connection) -> int:
    """Give the acts that wait their place, at most SEALED_AT_ONCE of them; how many there were."""
    tree = _locked_tree(connection)
    waiting = _WAITING.execute(connection, {}).all()
    if not waiting:
        return 0
    heads = {each: _head(connection, each) for each in {row.account_id for row in waiting}}
    added: list[dict[str, Any]] = []
    for row in waiting:
        values: dict[str, Any] = dict(zip(_ACT, row[1:], strict=True))
        act = Act(**values)
        last, previous = heads[act.account_id]
        own = entry_hash(act, last + 1, previous)
        placed = {"position": tree.size, "sequence": last + 1, "hash": own}
        added.append(values | placed)
        heads[act.account_id] = last + 1, own
        tree.append(own)
    connection.execute(audit_entries.insert(), added)
    connection.execute(audit_queue.delete().where(audit_queue.c.id.in_([row.id for row in waiting])))
    subtrees = [each.hex() for each in tree.subtrees]
    connection.execute(audit_tree.update().values(size=tree.size, subtrees=subtrees))
    return len(added)


def current_tree(connection: sa.Connection) -> Tree:
    """The tree over what is sealed, as it was held while it grew."""
    row = connection.execute(sa.select(audit_tree)).one_or_none()
    return Tree() if row is None else Tree(row.size, map(bytes.fromhex, row.subtrees))


def all_entries(connection: sa.Connection) -> Iterator[Entry]:
    """Every sealed entry in the order of positions, read in pages: it may be a million."""
    after = -(1 << 62)
    while page := connection.execute(
        sa.select(audit_entries).where(audit_entries.c.position > after).order_by(audit_entries.c.position).limit(PAGE)
    ).all():
        yield from map(_entry, page)
        after = page[-1].position


def entry_at(connection: sa.Connection, position: int) -> Entry | None:
    """The entry of a position."""
    row = connection.execute(sa.select(audit_entries).where(audit_entries.c.position == position)).one_or_none()
    return None if row is None else _entry(row)


def find_entries(
    connection: sa.Connection,
    *,
    account_id: int | None = None,
    action: str | None = None,
    actor_id: str | None = None,
    object_id: str | None = None,
    limit: int = 100,
) -> Sequence[Entry]:
    """The newest entries that are as asked, oldest first."""
    wanted = {"account_id": account_id, "action": action, "actor_id": actor_id, "object_id": object_id}
    which = [audit_entries.c[name] == value for name, value in wanted.items() if value is not None]
    query = sa.select(audit_entries).where(*which).order_by(audit_entries.c.position.desc()).limit(limit)
    return [_entry(row) for row in reversed(connection.execute(query).all())]


def last_details(connection: sa.Connection, action: str) -> str | None:
    """The details of the newest act of this action, sealed or not; None when there is none."""
    for table, order in ((audit_queue, audit_queue.c.id), (audit_entries, audit_entries.c.position)):
        query = sa.select(table.c.details).where(table.c.action == action).order_by(order.desc()).limit(1)
        details: str | None = connection.execute(query).scalar_one_or_none()
        if details is not None:
            return details
    return None


def _locked_tree(connection: sa.Connection) -> Tree:
    # With PostgreSQL the update holds the row until the transaction ends, and the next one sees what this one wrote.
    if connection.execute(audit_tree.update().values(size=audit_tree.c.size)).rowcount == 0:
        connection.execute(audit_tree.insert().values(id=1, size=0, subtrees=[]))
    return current_tree(connection)


def _head(connection: sa.Connection, account_id: int) -> tuple[int, bytes]:
    """Where the chain of an account ends: sequence and hash."""
    c = audit_entries.c
    query = sa.select(c.sequence, c.hash).where(c.account_id == account_id).order_by(c.sequence.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return (0, FIRST_PREVIOUS) if row is None else (row.sequence, row.hash)


def _act(row: sa.Row[Any]) -> Act:
    return Act(**{name: getattr(row, name) for name in _ACT})


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(row.position, row.sequence, _act(row), row.hash)
