"""The group of commands: it imports a command, and the bus, on their first use.

`tidings --help` imports click alone: 0.1 s of CPU instead of 3.1 (docs/performance.md).
"""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import click

from tidings.cli.streams import escape_output
from tidings.cli.summaries import SUMMARIES

# An entry point is imported on use: `tidings relay` must not load what `tidings up` needs.
_ENTRY_POINTS: Final = "tidings.commands"


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=_ENTRY_POINTS)}


class LazyGroup(click.Group):
    """A group whose commands are the entry points of `tidings.commands`.

    An error of Tidings or of the database ends the command as in the bus's own group.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in alphabetical order."""
        return sorted(_entry_points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command `cmd_name`."""
        found = _entry_points().get(cmd_name)
        command: click.Command | None = found.load() if found else None
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their summaries, which import none of them."""
        names = self.list_commands(ctx)
        width = formatter.width - 6 - max(map(len, names))
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(ctx, name, width)) for name in names])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments as UTF-8, also in an ASCII locale, in which output is escaped."""
        escape_output()
        if not all(each.isascii() for each in args):
            args = [_bus("environment").decode(each) for each in args]
        for number, each in enumerate(args, 1):
            if any("\ud800" <= character <= "\udfff" for character in each):
                raise click.UsageError(f"argument {number} is no UTF-8; write it as UTF-8", ctx)
        try:
            return super().parse_args(ctx, args)  # it prints the help
        except OSError as error:
            _bus("cli.group").check_output(error)
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its errors are printed on one line."""
        with _bus("cli.group").errors_on_one_line("tidings migrate"):
            return super().invoke(ctx)

    def _summary(self, ctx: click.Context, name: str, width: int) -> str:
        command: click.Command | None = click.Command(name, help=SUMMARIES.get(name))
        if name not in SUMMARIES:  # a command that another distribution has added
            command = self.get_command(ctx, name)
        return command.get_short_help_str(width) if command else ""


def _bus(module: str) -> Any:
    """Import a module of the bus, which brings the database and the settings along."""
    return import_module(f"events.{module}")
