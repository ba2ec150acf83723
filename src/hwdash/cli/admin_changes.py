"""What a command of ``hwdash admin`` changed, as an entry of the audit log: without a word in the command itself.

The statements of the command's transaction are watched. Those that change rows are told by table and key; whose account
it is, is read from the rows. Parameters of the command are told too, files among them by their digest: no command takes
a secret as a parameter, they print those that they make.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from hwdash.cli.two_people import confirmation
from hwdash.clock import Clock
from hwdash.domain.audit import LONGEST, SERVICE, act
from hwdash.storage.audit import append, operator

ROWS_TOLD = 50
# Where a row has no account of its own: the table that has, and the column that leads there.
_OWNERS = ("client_id", "user_id", "submission_id", "label_id", "product_id")
_UNTOLD = ("data", "as_json")


@contextmanager
def changes_recorded(connection: sa.Connection, clock: Clock) -> Iterator[None]:
    """Watch what the block changes on this connection, and append an entry for it in the same transaction."""
    changes = _Changes()
    sa.event.listen(connection, "before_cursor_execute", changes.note)
    try:
        yield
    finally:
        sa.event.remove(connection, "before_cursor_execute", changes.note)
    if not changes.rows:
        return
    command = click.get_current_context()
    rows = [f"{how} {table} {key}".rstrip() for how, table, key in changes.rows[:ROWS_TOLD]]
    told = {"parameters": _parameters(command.params), "rows": rows, "count": len(changes.rows)}
    if (by := confirmation()) is not None:
        told |= {"pendingChange": by.id, "officers": [by.asked_by, by.confirmed_by]}
    account = changes.account_id or command.params.get("account") or SERVICE
    path = command.command_path.split()
    # What comes first may be a sweep that names no row.
    _, table, key = next((each for each in changes.rows if each[2]), changes.rows[0])
    action = " ".join(path[path.index("admin") :]) if "admin" in path else " ".join(path)
    append(connection, act(int(account), clock(), operator(), action, (table, key), **told))


class _Changes:
    """The rows that were changed: how, in which table, under which key."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []
        self.account_id = SERVICE

    def note(self, connection: sa.Connection, _cursor: Any, _sql: str, _values: Any, context: Any, _many: bool) -> None:
        """SQLAlchemy's event before a statement: rows that will be gone can still be read."""
        table = getattr(context.compiled, "statement", None)
        table = getattr(table, "table", None)
        if not (context.isinsert or context.isupdate or context.isdelete) or not isinstance(table, sa.Table):
            return
        how = "insert" if context.isinsert else "update" if context.isupdate else "delete"
        for given in context.compiled_parameters:
            # What a WHERE compares with is named after its column, with a number.
            known = {each.name: given.get(each.name, given.get(f"{each.name}_1")) for each in table.c}
            key = [str(known[each.name]) for each in table.primary_key if known[each.name] is not None]
            self.rows.append((how, table.name, " ".join(key)[:LONGEST]))
            self.account_id = self.account_id or _account(connection, table, known)


def _account(connection: sa.Connection, table: sa.Table, known: Mapping[str, Any]) -> int:
    """The account of a row, by what the statement says of it; the service's when it says nothing."""
    if table.name == "accounts":
        return known["id"] or SERVICE
    which = [each == known[each.name] for each in table.primary_key if known[each.name] is not None]
    for column in [each for each in table.c if each.name in ("account_id", "owner_id")]:
        if known[column.name]:
            return int(known[column.name])
        if which and (found := connection.execute(sa.select(column).where(*which).limit(1)).scalar()):
            return int(found)
    for column in [each for each in table.c if each.name in _OWNERS and known[each.name] is not None]:
        for foreign in column.foreign_keys:
            owner = foreign.column.table
            if "account_id" in owner.c:
                query = sa.select(owner.c.account_id).where(foreign.column == known[column.name])
                if found := connection.execute(query).scalar():
                    return int(found)
    return SERVICE


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _told(value) for name, value in given.items() if name not in _UNTOLD and value not in (None, (), "")}


def _told(value: Any) -> Any:
    if isinstance(value, Path):
        return {"file": value.name, "sha256": sha256(value.read_bytes()).hexdigest()} if value.is_file() else value.name
    if isinstance(value, tuple | list):
        return [_told(each) for each in value]
    return value if isinstance(value, bool | int | float | dict) else str(value)
