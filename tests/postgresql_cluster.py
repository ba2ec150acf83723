"""A real PostgreSQL of a test's own, which can be taken away under the service."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg


@dataclass(frozen=True)
class Cluster:
    """One that runs on a Unix socket in ``folder``, with an empty database."""

    folder: Path

    @property
    def url(self) -> str:
        """SQLAlchemy's URL of the database."""
        return f"postgresql+psycopg://hwdash@/hwdash?host={self.folder}"

    def restart(self) -> None:
        """As after a crash: every connection breaks, what was not committed is gone."""
        _postgres("pg_ctl", "--pgdata", self.folder / "data", "--mode", "immediate", "--wait", "restart")

    def stop(self) -> None:
        """Be gone, until it is restarted."""
        _postgres("pg_ctl", "--pgdata", self.folder / "data", "--mode", "immediate", "--wait", "stop")

    def end_connections(self) -> int:
        """Cut all that there are at this moment; how many."""
        return len(self.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'hwdash'"))

    def end_connection(self, backend: int) -> None:
        """Cut the one of a backend's process id, and wait until it is gone."""
        assert self.ask(f"SELECT pg_terminate_backend({backend}, 10000)") == [(True,)]

    def ask(self, question: str) -> list[tuple[object, ...]]:
        """The rows of a query."""
        with psycopg.connect(host=str(self.folder), user="hwdash", dbname="postgres") as connection:
            return connection.execute(question.encode()).fetchall()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster until the block ends."""
    # The server refuses to run as root, and the folders of pytest are root's alone.
    folder = Path(tempfile.mkdtemp(prefix="hwdash-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    try:
        data = folder / "data"
        _postgres(
            "initdb", "--pgdata", data, "--auth", "trust", "--username", "hwdash", "--encoding", "UTF8", "--no-sync"
        )
        settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        log = folder / "log"
        _postgres("pg_ctl", "--pgdata", data, "--log", log, "--options", settings, "--wait", "start")
        try:
            _postgres("createdb", "--host", folder, "--username", "hwdash", "hwdash")
            yield Cluster(folder)
        finally:
            _postgres("pg_ctl", "--pgdata", data, "--mode", "immediate", "--wait", "stop")
    finally:
        shutil.rmtree(folder)


def _postgres(program: str, *arguments: object) -> None:
    """Run a program of PostgreSQL's, as the user postgres when we are root."""
    newest = max(Path("/usr/lib/postgresql").iterdir(), key=lambda version: int(version.name))
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    command = [*user, str(newest / "bin" / program), *map(str, arguments)]
    # Not captured: the server inherits what pg_ctl has open, and a pipe would never end.
    subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=60)
