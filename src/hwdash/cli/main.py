"""The ``hwdash`` command. Each subcommand is loaded when it is called: start-up stays short."""

import importlib
import sys

import click

from hwdash import __version__
from hwdash.cli.output import Refused


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported on use: ``commands_in`` is name → (module, attribute,
    short help).
    """

    def __init__(
        self, *args: object, commands_in: dict[str, tuple[str, str, str]] | None = None, **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own signature is checked where it is called
        self._commands_in = commands_in or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order in which they are declared."""
        return [*self._commands_in, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of the command."""
        if cmd_name not in self._commands_in:
            return super().get_command(ctx, cmd_name)
        module, attribute, _ = self._commands_in[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{attribute} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        rows = [(name, short) for name, (_, _, short) in self._commands_in.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


COMMANDS = {
    "demo": ("hwdash.cli.demo", "demo", "Take a sample driver from unsigned to signed, on this machine."),
    "init": ("hwdash.cli.init", "init", "Make a new service: data folder, keys, first account and application."),
    "serve": ("hwdash.cli.serve", "serve", "Run the service."),
    "submit": ("hwdash.cli.submit", "submit", "Submit a package, wait, and download what was signed."),
    "package": ("hwdash.cli.package", "package", "Build, sign and check driver packages on this machine."),
    "admin": ("hwdash.cli.admin", "admin", "Administer the service: accounts, applications, certificates."),
}


@click.group(cls=LazyGroup, commands_in=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hwdash")
def cli() -> None:
    """Microsoft's Hardware dashboard API, self-hosted: validate, sign, share and release Windows drivers."""


def main() -> None:
    """The entry point: known errors end in a sentence and an exit code, never in a traceback."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except Refused as refusal:
        refusal.show()
        sys.exit(refusal.code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
