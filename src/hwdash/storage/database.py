"""One database, two kinds of transaction: reading and writing.

SQLAlchemy Core, synchronous, in a small executor of our own: measured 1.4 to 2.1 times as fast as the asynchronous
drivers, and one code path for requests, workflow steps and the command line (facts/stack.md, docs/adr/0003).

SQLite runs in WAL mode with one writer: writing transactions begin IMMEDIATE, so that two of them queue instead of
failing half-way.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn

from hwdash.storage.tables import metadata, schema_version

P = ParamSpec("P")
R = TypeVar("R")

SCHEMA_VERSION = 2
"""Raised by each release that changes the tables. What a release adds is a table, or a column that is nullable or has a
server_default: older databases get it when they are opened."""
BUSY_TIMEOUT_MS = 30_000


class SchemaMismatch(Exception):
    """The database was made by another version of hwdash. The message says which and what to do."""


class Database:
    """The service's database behind a SQLAlchemy URL: ``sqlite:///PATH`` or ``postgresql+psycopg://...``."""

    def __init__(self, url: str, *, threads: int = 4) -> None:
        self.url = url
        self.is_sqlite = sa.make_url(url).get_backend_name() == "sqlite"
        self.engine = self._engine("BEGIN IMMEDIATE")
        self._reading_engine = self._engine("BEGIN") if self.is_sqlite else self.engine
        self._readers = ThreadPoolExecutor(threads, thread_name_prefix="database-read")
        self._writers = ThreadPoolExecutor(1 if self.is_sqlite else threads, thread_name_prefix="database-write")

    def _engine(self, begin: str) -> sa.Engine:
        if not self.is_sqlite:
            return sa.create_engine(self.url, pool_pre_ping=True, hide_parameters=True)
        engine = sa.create_engine(self.url, connect_args={"check_same_thread": False}, hide_parameters=True)

        @sa.event.listens_for(engine, "connect")
        def configure(connection: Any, _record: Any) -> None:
            # The driver would begin transactions by its own rules; ours are begun below.
            connection.isolation_level = None
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                f"busy_timeout={BUSY_TIMEOUT_MS}",
                "foreign_keys=ON",
            ):
                connection.execute(f"PRAGMA {pragma}")

        @sa.event.listens_for(engine, "begin")
        def begin_transaction(connection: sa.Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    def create(self) -> None:
        """Make the tables of a new database, or give an older one what it lacks.

        Raises SchemaMismatch when a later version of hwdash made it.
        """
        with self.writing() as connection:
            schema_version.create(connection, checkfirst=True)
            found = connection.execute(sa.select(schema_version.c.version)).scalar_one_or_none()
            if found is not None and found > SCHEMA_VERSION:
                raise SchemaMismatch(
                    f"the database has schema version {found}, this hwdash knows {SCHEMA_VERSION}: "
                    f"run the hwdash release that wrote it, or start with a new HWDASH_DATA folder"
                )
            if found is not None and found < SCHEMA_VERSION:
                _add_missing_columns(connection)
                # Only of use to requests of a moment ago, and bound to applications that may be removed now.
                connection.exec_driver_sql("DROP TABLE IF EXISTS creates")
            metadata.create_all(connection)
            if found is None:
                connection.execute(schema_version.insert().values(version=SCHEMA_VERSION))
            else:
                connection.execute(schema_version.update().values(version=SCHEMA_VERSION))

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that may write. Commits at the end, rolls back on any exception."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads, and sees one state of the database throughout."""
        with self._reading_engine.begin() as connection:
            yield connection

    async def read(self, function: Callable[Concatenate[sa.Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``function(connection, ...)`` in a reading transaction, off the event loop."""

        def run() -> R:
            with self.reading() as connection:
                return function(connection, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)

    async def write(self, function: Callable[Concatenate[sa.Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``function(connection, ...)`` in a writing transaction, off the event loop."""

        def run() -> R:
            with self.writing() as connection:
                return function(connection, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._writers, run)

    def close(self) -> None:
        """Finish what runs and give the connections back."""
        self._readers.shutdown()
        self._writers.shutdown()
        self.engine.dispose()
        self._reading_engine.dispose()


def _add_missing_columns(connection: sa.Connection) -> None:
    present = sa.inspect(connection)
    for table in metadata.sorted_tables:
        if not present.has_table(table.name):
            continue
        names = {column["name"] for column in present.get_columns(table.name)}
        for column in table.c:
            if column.name not in names:
                described = CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {described}")
        indexes = {index["name"] for index in present.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in indexes:
                index.create(connection)
