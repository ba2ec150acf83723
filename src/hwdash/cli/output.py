"""What commands print: progress for people on standard error, one JSON line for scripts on standard output."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class Exit(IntEnum):
    """The exit codes (docs/reference/command-line.md)."""

    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    UNAUTHORISED = 4


class Refused(click.ClickException):
    """Ends the command with a sentence and an exit code."""

    def __init__(self, message: str, code: int = Exit.REFUSED) -> None:
        super().__init__(message)
        self.code = code


def refuse(message: str, code: int = Exit.REFUSED) -> NoReturn:
    """End the command with a sentence and an exit code."""
    raise Refused(message, code)


def say(text: str) -> None:
    """Tell a person something."""
    click.echo(text, err=True)


def print_json(document: dict[str, Any] | list[Any]) -> None:
    """The one JSON document of a command: one line, the last on standard output."""
    click.echo(json.dumps(document, ensure_ascii=False))


def json_option(command: F) -> F:
    """The ``--json`` option."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead.")(command)


def print_table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """A table for people; where nobody looks at a terminal, a line a row with tabs between."""
    cells = [["" if row[name] is None else _one_line(str(row[name])) for name in columns] for row in rows]
    if not sys.stdout.isatty():
        for line in ([*columns], *cells):
            click.echo("\t".join(line))
        return
    from rich.console import Console  # noqa: PLC0415 - drawn only on a terminal
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, box=None)
    for line in cells:
        table.add_row(*map(Text, line))
    Console().print(table)


def _one_line(text: str) -> str:
    """A stranger's text without controls of the terminal."""
    return "".join(each if each.isprintable() else " " for each in text)


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, two lines elsewhere. Yields ``show(done, total)`` in bytes."""
    if not sys.stderr.isatty():
        started = time.monotonic()
        moved = 0

        def count(done: int, _total: int) -> None:
            nonlocal moved
            moved = done

        yield count
        say(f"{label}: {moved / 1e6:.1f} MB in {time.monotonic() - started:.1f} s")
        return
    from rich.console import Console  # noqa: PLC0415 - drawn only on a terminal
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
