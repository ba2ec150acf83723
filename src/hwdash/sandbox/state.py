"""A sandbox's whole state in one tar file: database, blobs, keys, mark. It is made while the sandbox runs, too.

The database is copied by SQLite's online backup, before the blobs: a blob that a row names was written before the row,
and blobs are removed long after their rows.
"""

import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path, PurePosixPath

from hwdash.sandbox.mark import MARK
from hwdash.sandbox.separation import check_sandbox
from hwdash.settings import Settings, SettingsError
from hwdash.signing.authority import check_kind
from hwdash.signing.keys import KeyFolder

DATABASE = "hwdash.db"
FOLDERS = ("blobs", "keys", "secrets")
FILES = (MARK, "hwdash.toml")
# What is being received, and locks, belong to the running process.
_LEFT_OUT = ("blobs/incoming", "keys/.lock", "secrets/.lock", "secrets/tls/.lock")


def dump(settings: Settings, file: Path) -> None:
    """Write the state of a sandbox; ``file`` appears when it is whole, for its owner alone: keys are in it.

    Raises SettingsError for a folder that is no sandbox, or whose database is not in it, and OSError.
    """
    check_sandbox(settings)
    if settings.database_url:
        raise SettingsError("The database is not in the data folder (database_url is set): dump it with its own tools.")
    check_kind(KeyFolder(settings.data / "keys", b""), sandbox=True)
    with tempfile.TemporaryDirectory(prefix=".hwdash-dump-", dir=file.absolute().parent) as folder:
        copy, whole = Path(folder, DATABASE), Path(folder, "whole.tar")
        with (
            closing(sqlite3.connect(f"file:{settings.data / DATABASE}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        with tarfile.open(whole, "w") as archive:
            archive.add(copy, DATABASE)
            for name in (*FILES, *_own_files(settings.data)):
                if (settings.data / name).exists():
                    archive.add(settings.data / name, name)
            for name in FOLDERS:
                if (settings.data / name).is_dir():
                    archive.add(settings.data / name, name, filter=_kept)
        whole.chmod(0o600)
        whole.replace(file)


def load(file: Path, data: Path) -> None:
    """Make a sandbox in ``data`` out of a dump; it appears when it is whole.

    Raises SettingsError when ``data`` holds something, or ``file`` is no dump of a sandbox, and OSError.
    """
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise SettingsError(f"{data} is not empty: a dump is loaded into a new folder.")
    parent = data.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".hwdash-load-", dir=parent) as folder:
        fresh = Path(folder, "data")
        fresh.mkdir(mode=0o700)
        try:
            with tarfile.open(file, "r:") as archive:
                _extract(archive, fresh)
        except (tarfile.TarError, EOFError) as error:
            raise SettingsError(f"{file} is no dump of a sandbox: {error}") from error
        if not (fresh / DATABASE).is_file() or not (fresh / "keys" / "root.pem").is_file():
            raise SettingsError(f"{file} is no dump of a sandbox: it has no {DATABASE}, or no keys.")
        check_sandbox(Settings(data=fresh))
        check_kind(KeyFolder(fresh / "keys", b""), sandbox=True)
        fresh.replace(data)


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    """Files and folders below ``folder``, for their owner alone. Raises TarError for whatever else is in it."""
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise tarfile.ExtractError(f"{member.name!r} does not belong into one")
        target = folder / path
        if member.isdir():
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            continue
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = archive.extractfile(member)
        target.touch(mode=0o600, exist_ok=False)
        with target.open("wb") as out:
            shutil.copyfileobj(content, out)  # type: ignore[arg-type]  # a file has content


def _kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if member.name in _LEFT_OUT or not (member.isfile() or member.isdir()):
        return None
    return member


def _own_files(data: Path) -> list[str]:
    """The small files that scenarios and the clock keep in the data folder."""
    return sorted(each.name for each in (*data.glob("sandbox-*.json"), *data.glob("sandbox-*.toml")))
