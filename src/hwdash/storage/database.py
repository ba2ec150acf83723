"""One database, two kinds of transaction: reading and writing.

SQLAlchemy Core, synchronous, in a small executor of our own: measured 1.4 to 2.1 times as fast as the asynchronous
drivers, and one code path for requests, workflow steps and the command line (facts/stack.md, docs/adr/0003).

SQLite runs in WAL mode with one writer: writing transactions begin IMMEDIATE, so that two of them queue instead of
failing half-way. Writes that wait while another is under way are committed together, each in a savepoint of its own:
the disk is synced once for all of them (docs/adr/0017).

With PostgreSQL the threads that write for requests and that read by key keep a connection each, and do not ask it
before each use whether it still stands. What is lost with it before its commit was sent is done once more.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.schema import CreateColumn

from hwdash.storage import audit_tables as _audit_tables  # noqa: F401 - its tables join the metadata
from hwdash.storage import label_tables as _label_tables  # noqa: F401
from hwdash.storage import officer_tables as _officer_tables  # noqa: F401
from hwdash.storage import recall_tables as _recall_tables  # noqa: F401
from hwdash.storage.compiled import send_waiting, together
from hwdash.storage.tables import metadata, schema_version

P = ParamSpec("P")
R = TypeVar("R")

SCHEMA_VERSION = 4
"""Raised by each release that changes the tables. What a release adds is a table, or a column that is nullable or has a
server_default: older databases get it when they are opened."""
BUSY_TIMEOUT_MS = 30_000
# What the event loop may wait for a lock before a thread does the waiting.
POINT_BUSY_TIMEOUT_MS = 20
POINT_THREADS = 2
# How many writes share one commit at most, so that the first of them does not wait long for the last.
WRITES_A_COMMIT = 64

Write = tuple[Callable[[sa.Connection], Any], "Future[Any]"]


class SchemaMismatch(Exception):
    """The database was made by another version of hwdash. The message says which and what to do."""


class DatabaseUnavailable(Exception):
    """There is no database behind the URL. The message says why, and holds neither the URL nor its password."""


class Database:
    """The service's database behind a SQLAlchemy URL: ``sqlite:///PATH`` or ``postgresql+psycopg://...``."""

    def __init__(self, url: str, *, threads: int = 4) -> None:
        """Raises DatabaseUnavailable for a URL that cannot be used; nothing is connected to yet."""
        self.url = url
        try:
            self.is_sqlite = sa.make_url(url).get_backend_name() == "sqlite"
            self.engine = self._engine("BEGIN IMMEDIATE")
        except (ArgumentError, ValueError, ImportError):  # their words may quote the URL
            raise DatabaseUnavailable(
                "database_url is no URL of a database that can be used here: write sqlite:///PATH, or "
                "postgresql+psycopg://USER:PASSWORD@HOST:PORT/NAME with the extra hwdash[postgresql] installed"
            ) from None
        self._reading_engine = self._engine("BEGIN") if self.is_sqlite else self.engine
        self._point_engine = self._engine("", busy_timeout=POINT_BUSY_TIMEOUT_MS, is_kept=True)
        self._writing_engine = self.engine if self.is_sqlite else self._engine("BEGIN", is_kept=True)
        self._point_connection: sa.Connection | None = None
        self._readers = ThreadPoolExecutor(threads, thread_name_prefix="database-read")
        # Of more threads that do nothing but Python's work between short waits, each waits for the others: measured.
        self._point_readers = ThreadPoolExecutor(POINT_THREADS, thread_name_prefix="database-point")
        self._writers = ThreadPoolExecutor(1 if self.is_sqlite else threads, thread_name_prefix="database-write")
        self._waiting: SimpleQueue[Write] = SimpleQueue()
        self._of_thread = threading.local()
        self._kept: list[sa.Connection] = []

    def _engine(self, begin: str, *, busy_timeout: int = BUSY_TIMEOUT_MS, is_kept: bool = False) -> sa.Engine:
        """An engine whose transactions begin so; without ``begin`` each statement stands for itself.

        ``is_kept``: with PostgreSQL each thread keeps its connection (_kept_connection).
        """
        if not self.is_sqlite:
            options: dict[str, Any] = {"poolclass": sa.NullPool} if is_kept else {"pool_pre_ping": True}
            if not begin:
                options["isolation_level"] = "AUTOCOMMIT"
            engine = sa.create_engine(self.url, hide_parameters=True, **options)

            @sa.event.listens_for(engine, "before_cursor_execute")
            def send_before(connection: sa.Connection, *_: object) -> None:
                send_waiting(connection)

            return engine
        engine = sa.create_engine(self.url, connect_args={"check_same_thread": False}, hide_parameters=True)

        @sa.event.listens_for(engine, "connect")
        def configure(connection: Any, _record: Any) -> None:
            # The driver would begin transactions by its own rules; ours are begun below.
            connection.isolation_level = None
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                f"busy_timeout={busy_timeout}",
                "foreign_keys=ON",
            ):
                connection.execute(f"PRAGMA {pragma}")

        if begin:

            @sa.event.listens_for(engine, "begin")
            def begin_transaction(connection: sa.Connection) -> None:
                connection.exec_driver_sql(begin)

        return engine

    def create(self) -> None:
        """Make the tables of a new database, or give an older one what it lacks.

        Raises SchemaMismatch when a later version of hwdash made it, DatabaseUnavailable when it cannot be reached.
        """
        try:
            self._create()
        except OperationalError as error:
            raise DatabaseUnavailable(f"the database cannot be used: {error.orig}") from error

    def _create(self) -> None:
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
        with self.engine.begin() as connection, nullcontext() if self.is_sqlite else together(connection):
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

    async def read_point(
        self, function: Callable[Concatenate[sa.Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run ``function(connection, ...)`` that reads a few rows by their keys.

        Each of its statements sees a state of its own: what must be of one moment is read by one statement. With SQLite
        it runs at once, on the event loop: such a read takes less time than the way to a thread and back. Where it
        would have to wait for a lock, a thread does. With PostgreSQL it runs in a thread, without the round trips that
        begin and end a transaction, and a second time when the connection is lost.
        """
        if self.is_sqlite:
            if self._point_connection is None:
                self._point_connection = self._point_engine.connect()
            try:
                return function(self._point_connection, *args, **kwargs)
            except OperationalError:
                return await self.read(function, *args, **kwargs)

        def run() -> R:
            with self._kept_connection(self._point_engine) as connection:
                return function(connection, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._point_readers, _again_if_lost, run)

    async def write(self, function: Callable[Concatenate[sa.Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run ``function(connection, ...)`` in a writing transaction, off the event loop.

        With SQLite in a savepoint of a transaction that it may share with others: an exception undoes its own writes
        and no other's. With PostgreSQL a second time when the connection is lost before the commit: it must have no
        effect but on the database. The result comes when all is on the disk.
        """

        def run(connection: sa.Connection) -> R:
            return function(connection, *args, **kwargs)

        if self.is_sqlite:
            done: Future[R] = Future()
            self._waiting.put((run, done))
            self._writers.submit(self._write_waiting)
            return await asyncio.wrap_future(done)

        def run_uncommitted() -> tuple[sa.RootTransaction, R]:
            with self._kept_connection(self._writing_engine) as connection:
                transaction = connection.begin()
                with together(connection):
                    return transaction, run(connection)

        def write() -> R:
            transaction, result = _again_if_lost(run_uncommitted)
            # Not again: when the connection is lost here, nobody knows whether it was done.
            with self._kept_connection(self._writing_engine):
                transaction.commit()
            return result

        return await asyncio.get_running_loop().run_in_executor(self._writers, write)

    @contextmanager
    def _kept_connection(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        """The connection that this thread keeps: no round trip asks whether it still stands."""
        connection: sa.Connection | None = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = engine.connect()
            self._kept.append(connection)
        try:
            yield connection
        except BaseException:
            # After this a lost connection is made anew at its next use.
            connection.rollback()
            raise

    def _write_waiting(self) -> None:
        """Do what waits in one transaction."""
        waiting: list[Write] = []
        with suppress(Empty):
            while len(waiting) < WRITES_A_COMMIT:
                write = self._waiting.get_nowait()
                if write[1].set_running_or_notify_cancel():
                    waiting.append(write)
        if not waiting:
            return  # an earlier call has done it
        outcomes: list[Callable[[], None]] = []
        try:
            with self.writing() as connection:
                for run, done in waiting:
                    try:
                        with connection.begin_nested():
                            result = run(connection)
                    except Exception as error:  # noqa: BLE001 - it is the caller's, who gets it
                        outcomes.append(partial(done.set_exception, error))
                    else:
                        outcomes.append(partial(done.set_result, result))
        except Exception as error:  # noqa: BLE001 - begin or commit failed: nothing of all this was done
            outcomes = [partial(done.set_exception, error) for _, done in waiting]
        for tell in outcomes:
            tell()

    def close(self) -> None:
        """Finish what runs and give the connections back."""
        self._readers.shutdown()
        self._point_readers.shutdown()
        self._writers.shutdown()
        for connection in self._kept:
            connection.close()
        if self._point_connection is not None:
            self._point_connection.close()
        self._point_engine.dispose()
        self.engine.dispose()
        self._reading_engine.dispose()


def _again_if_lost(run: Callable[[], R]) -> R:
    """Run it, and once more when the server has closed the connection in the meantime."""
    try:
        return run()
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        return run()


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
