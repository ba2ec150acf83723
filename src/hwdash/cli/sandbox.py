"""``hwdash sandbox``: the commands of a sandbox, each loaded when it is called."""

import click

from hwdash.cli.lazy import LazyGroup

COMMANDS = {
    "run": ("hwdash.cli.sandbox_run", "run", "Run one command in a throwaway sandbox that it takes for Microsoft's."),
    "up": ("hwdash.cli.sandbox_up", "up", "Start a sandbox and print its credentials."),
    "down": ("hwdash.cli.sandbox_up", "down", "Stop a sandbox that runs."),
}


@click.group(cls=LazyGroup, commands_in=COMMANDS)
def sandbox() -> None:
    """A sandbox: any failure on demand, time at your command, every request on show."""
