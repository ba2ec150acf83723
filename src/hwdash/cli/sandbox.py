"""``hwdash sandbox``: the commands of a sandbox, each loaded when it is called."""

import click

from hwdash.cli.lazy import LazyGroup

COMMANDS = {
    "run": ("hwdash.cli.sandbox_run", "run", "Run one command in a throwaway sandbox that it takes for Microsoft's."),
    "up": ("hwdash.cli.sandbox_up", "up", "Start a sandbox and print its credentials."),
    "scenario": ("hwdash.cli.sandbox_scenario", "scenario", "What goes wrong: set, list and clear scenarios."),
    "clock": ("hwdash.cli.sandbox_clock", "clock", "What time it is: show, advance, freeze and resume the clock."),
    "log": ("hwdash.cli.sandbox_log", "log", "What was asked and answered, and why."),
    "down": ("hwdash.cli.sandbox_up", "down", "Stop a sandbox that runs."),
    "record": ("hwdash.cli.sandbox_record", "record", "Write down what a client and a server say, without secrets."),
    "replay": ("hwdash.cli.sandbox_record", "replay", "Serve what was recorded."),
    "compare": ("hwdash.cli.sandbox_record", "compare", "Compare a recording with the answers of another server."),
    "dump": ("hwdash.cli.sandbox_state", "dump", "Write a sandbox's whole state into a file."),
    "load": ("hwdash.cli.sandbox_state", "load", "Make a sandbox out of such a file."),
}


@click.group(cls=LazyGroup, commands_in=COMMANDS)
def sandbox() -> None:
    """A sandbox: any failure on demand, time at your command, every request on show."""
