"""Statements of hot paths: built and compiled once, and then run on the driver's own cursor.

SQLAlchemy writes the SQL, for the database at hand, and tells how each value is bound and read; what it does anew at
every execution costs several times what the database needs to find a row by its key (docs/adr/0017).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

_CURSOR = "hwdash cursor"


class Compiled:
    """A SELECT, or an INSERT with or without RETURNING, that is always given parameters of the same names."""

    def __init__(self, statement: sa.Select[Any] | sa.Insert) -> None:
        self._statement = statement
        self._forms: dict[str, _Form] = {}

    def execute(self, connection: sa.Connection, parameters: Mapping[str, Any]) -> sa.Result[Any]:
        """As Connection.execute in the same transaction; raises what that raises."""
        dialect = connection.dialect
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = _Form(self._statement, list(parameters), dialect)
        # One cursor for as long as the driver's connection lives: a new one costs as much as a row.
        cursor = connection.info.get(_CURSOR)
        if cursor is None:
            cursor = connection.info[_CURSOR] = connection.connection.cursor()
        try:
            cursor.execute(form.sql, form.bound(parameters))
            rows = cursor.fetchall() if form.returns_rows else []
        except dialect.loaded_dbapi.Error as error:
            is_lost = dialect.is_disconnect(error, connection.connection, cursor)
            if is_lost:
                connection.invalidate(error)
            raise DBAPIError.instance(
                form.sql,
                None,
                error,
                dialect.loaded_dbapi.Error,
                hide_parameters=True,
                connection_invalidated=is_lost,
                dialect=dialect,
            ) from error
        return IteratorResult(form.columns, map(form.read, rows))


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
