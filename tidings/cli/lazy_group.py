"""The group of commands: it imports a command on its first use and prints errors on one line."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

import click

from events.cli.group import BusGroup
from events.environment import decode
from tidings.cli.encoding import escape_output

# An entry point is imported on use: `tidings relay` must not load what `tidings up` needs.
_ENTRY_POINTS: Final = "tidings.commands"


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=_ENTRY_POINTS)}


class LazyGroup(BusGroup):
    """A group whose commands are the entry points of `tidings.commands`."""

    migrate_command = "tidings migrate"

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in alphabetical order."""
        return list(_entry_points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command `cmd_name`."""
        found = _entry_points().get(cmd_name)
        command: click.Command | None = found.load() if found else None
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments as UTF-8, also in an ASCII locale, in which output is escaped."""
        escape_output()
        return super().parse_args(ctx, [decode(each) for each in args])
