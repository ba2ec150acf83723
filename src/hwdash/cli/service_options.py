"""Options and errors that the commands on the service's side share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from hwdash.cli.output import Exit, refuse
from hwdash.pipeline.confinement import IsolationUnavailable
from hwdash.pipeline.scan_engines import ScannerUnavailable
from hwdash.server.data_folder import DataFolderInUse
from hwdash.settings import Settings, SettingsError, load_settings
from hwdash.signing.errors import SigningError
from hwdash.storage.accounts import AccountError
from hwdash.storage.database import DatabaseUnavailable, SchemaMismatch

F = TypeVar("F", bound=Callable[..., Any])


def data_option(command: F) -> F:
    """The ``--data`` option."""
    return click.option(
        "--data", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
        help="The service's data folder [HWDASH_DATA, or ./hwdash-data].",
    )(command)  # fmt: skip


def settings_of(data: Path | None) -> Settings:
    """The settings; wrong ones end the command."""
    try:
        return load_settings(data)
    except SettingsError as error:
        refuse(str(error), Exit.USAGE)


def existing_service(data: Path | None) -> Settings:
    """The settings of a service that was made before."""
    settings = settings_of(data)
    # Where the signer is another user's, the folder of its keys may be nothing that this one can look at.
    if not any((settings.data / each).is_dir() for each in ("secrets", "keys")):
        refuse(f"There is no service in {settings.data}: make one with hwdash init --data {settings.data}.", Exit.USAGE)
    return settings


@contextmanager
def told_plainly() -> Iterator[None]:
    """What the service's side refuses, as a sentence and an exit code."""
    try:
        yield
    except (
        AccountError,
        SchemaMismatch,
        SigningError,
        IsolationUnavailable,
        ScannerUnavailable,
        DataFolderInUse,
        DatabaseUnavailable,
    ) as error:
        refuse(str(error))
    except SettingsError as error:
        refuse(str(error), Exit.USAGE)
    except OSError as error:
        refuse(f"{error.filename or 'the service'}: {error.strerror or error}")
