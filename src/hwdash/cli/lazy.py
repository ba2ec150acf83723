"""Commands that are imported when they are called: start-up stays short."""

import importlib

import click


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
        rows += [(name, command.get_short_help_str(100)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
