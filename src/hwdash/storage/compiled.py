"""Statements of hot paths: built and compiled once, and then run on the driver's own cursor.

SQLAlchemy writes the SQL, for the database at hand, and tells how each value is bound and read; what it does anew at
every execution costs several times what the database needs to find a row by its key (docs/adr/0017).

With PostgreSQL each statement is a round trip, which costs more than the row. INSERTs of one transaction whose outcome
nobody reads go there as one statement: ``Compiled.later`` within ``together``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

_CURSOR = "hwdash cursor"
_WAITING = "hwdash waiting inserts"
# Of many acts in one transaction: a statement has an end, and there are not too many different ones.
_TOGETHER_AT_MOST = 8
_PARAMETER = re.compile(r"%\((\w+)\)s")


class Compiled:
    """A SELECT, or an INSERT with or without RETURNING, that is always given parameters of the same names."""

    def __init__(self, statement: sa.Select[Any] | sa.Insert) -> None:
        self._statement = statement
        self._forms: dict[str, _Form] = {}

    def execute(self, connection: sa.Connection, parameters: Mapping[str, Any]) -> sa.Result[Any]:
        """As Connection.execute in the same transaction; raises what that raises."""
        form = self._form(connection.dialect, parameters)
        send_waiting(connection)
        rows = _executed(connection, form.sql, form.bound(parameters), returns_rows=form.returns_rows)
        return IteratorResult(form.columns, map(form.read, rows))

    def later(self, connection: sa.Connection, parameters: Mapping[str, Any]) -> None:
        """Execute an INSERT whose outcome nobody reads. Within ``together`` it may wait for others to go with.

        Raises what execute raises; within ``together`` the next statement raises it, or the end of the block.
        """
        waiting: list[_Insert] | None = connection.info.get(_WAITING)
        if waiting is None:
            self.execute(connection, parameters)
            return
        form = self._form(connection.dialect, parameters)
        waiting.append((form, form.bound(parameters)))
        if len(waiting) == _TOGETHER_AT_MOST:
            send_waiting(connection)

    def _form(self, dialect: sa.Dialect, parameters: Mapping[str, Any]) -> "_Form":
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = _Form(self._statement, list(parameters), dialect)
        return form


@contextmanager
def together(connection: sa.Connection) -> Iterator[None]:
    """Send the INSERTs that the block has for later in company: before its next statement, and at its end.

    For PostgreSQL, where other statements than Compiled's call ``send_waiting`` before them. What raises drops them.
    """
    info = connection.info
    info[_WAITING] = []
    try:
        yield
        send_waiting(connection)
    finally:
        info.pop(_WAITING, None)  # a connection that was lost has forgotten it


def send_waiting(connection: sa.Connection) -> None:
    """Send the INSERTs that wait for company; raises what their execution raises."""
    waiting: list[_Insert] | None = connection.info.get(_WAITING)
    if not waiting:
        return
    forms, values = zip(*waiting, strict=True)
    waiting.clear()
    numbered = {f"i{place}_{name}": value for place, given in enumerate(values) for name, value in given.items()}
    _executed(connection, _in_one_statement(forms), numbered, returns_rows=False)


def made_row(table: sa.Table, values: Mapping[str, Any]) -> sa.Row[Any]:
    """The row that an INSERT of these values makes, which must be those of all columns: no default is known here."""
    columns = [str(column.key) for column in table.c]
    rows: sa.Result[Any] = IteratorResult(SimpleResultMetaData(columns), iter([[values[each] for each in columns]]))
    return rows.one()


def _executed(connection: sa.Connection, sql: str, bound: Any, *, returns_rows: bool) -> Sequence[Sequence[Any]]:
    # One cursor for as long as the driver's connection lives: a new one costs as much as a row.
    cursor = connection.info.get(_CURSOR)
    if cursor is None:
        cursor = connection.info[_CURSOR] = connection.connection.cursor()
    dialect = connection.dialect
    try:
        cursor.execute(sql, bound)
        rows: Sequence[Sequence[Any]] = cursor.fetchall() if returns_rows else []
    except dialect.loaded_dbapi.Error as error:
        is_lost = dialect.is_disconnect(error, connection.connection, cursor)
        if is_lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            sql,
            None,
            error,
            dialect.loaded_dbapi.Error,
            hide_parameters=True,
            connection_invalidated=is_lost,
            dialect=dialect,
        ) from error
    return rows


@lru_cache(256)
def _in_one_statement(forms: Sequence["_Form"]) -> str:
    """INSERTs of PostgreSQL as one: all but the last are WITH queries, which are carried out whoever reads them."""
    parts = [
        _PARAMETER.sub(rf"%(i{place}_\1)s", form.sql)  # by place: two may have a parameter of the same name
        for place, form in enumerate(forms)
    ]
    named = ", ".join(f"i{place} AS ({part})" for place, part in enumerate(parts[:-1]))
    return f"WITH {named} {parts[-1]}" if named else parts[-1]


class _Form:
    """A statement in the SQL of one database."""

    def __init__(self, statement: sa.Select[Any] | sa.Insert, names: list[str], dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=names)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - a statement, not DDL
        self.sql = compiled.string
        self._order = compiled.positiontup
        self._fixed = compiled.params
        self._binders = {
            name: binder
            for bound, name in compiled.bind_names.items()
            if (binder := bound.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        }
        returned = list(statement.exported_columns)
        self.returns_rows = bool(returned)
        self.columns = SimpleResultMetaData([str(column.key) for column in returned])
        readers = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in returned]
        self._readers = [(place, reader) for place, reader in enumerate(readers) if reader is not None]

    def bound(self, parameters: Mapping[str, Any]) -> Any:
        """The parameters as the driver takes them."""
        values = {**self._fixed, **parameters}
        for name, binder in self._binders.items():
            values[name] = binder(values[name])
        return values if self._order is None else [values[name] for name in self._order]

    def read(self, row: Sequence[Any]) -> Sequence[Any]:
        """A row of the driver's with the values that its columns have here."""
        values = list(row)
        for place, reader in self._readers:
            values[place] = reader(values[place])
        return values


_Insert = tuple[_Form, Mapping[str, Any]]
