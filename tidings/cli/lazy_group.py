"""The group of commands: it imports a command on its first use and prints errors on one line."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import click
from sqlalchemy.exc import DBAPIError

from events import TidingsError, database
from events.db_errors import describe_error
from events.inputs import escaped

# An entry point is imported on use: `tidings relay` must not load what `tidings up` needs.
_ENTRY_POINTS: Final = "tidings.commands"
_NOT_MIGRATED = ("no such table", "does not exist", "unable to open database file")


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=_ENTRY_POINTS)}


class LazyGroup(click.Group):
    """A group whose commands are the entry points of `tidings.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in alphabetical order."""
        return list(_entry_points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command `cmd_name`."""
        found = _entry_points().get(cmd_name)
        command: click.Command | None = found.load() if found else None
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An error of Tidings or of the database ends it with exit code 1."""
        try:
            return super().invoke(ctx)
        except TidingsError as error:
            raise click.ClickException(escaped(str(error))) from error
        except DBAPIError as error:
            raise click.ClickException(_describe(error)) from error


def _describe(error: DBAPIError) -> str:
    reason = describe_error(error)
    hint = "; has `tidings migrate` run?" if any(each in reason for each in _NOT_MIGRATED) else ""
    url = database.database().url.render_as_string()
    return f"the database at {url} failed: {reason}{hint}"
