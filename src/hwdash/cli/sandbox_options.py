"""Options that the commands of a sandbox share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hwdash.cli.output import Exit, refuse
from hwdash.sandbox.scenario_file import ScenarioError, read_scenario

F = TypeVar("F", bound=Callable[..., Any])

TOKEN = "HWDASH_SANDBOX_TOKEN"  # noqa: S105 - the name of the variable


def certificate_option(command: F) -> F:
    """The ``--certificate`` option."""
    return click.option(
        "--certificate", "certificates", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE", help="A certificate that packages are signed with, PEM or DER; once for each.",
    )(command)  # fmt: skip


def told_scenario(file_or_name: str) -> str:
    """The text of a scenario; what is wrong with it ends the command."""
    try:
        return read_scenario(file_or_name)
    except ScenarioError as error:
        refuse(str(error), Exit.USAGE)


def scenario_option(command: F) -> F:
    """The ``--scenario`` option; its value is the scenario's text, "" without it."""
    return click.option(
        "--scenario", default="", callback=lambda _context, _option, value: told_scenario(value) if value else "",
        metavar="FILE_OR_NAME", help="A scenario to play: a TOML file, or the name of one that comes with hwdash.",
    )(command)  # fmt: skip
