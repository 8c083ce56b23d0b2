"""The group of commands: each is imported when it is called, and each error it makes is one line."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import click
from sqlalchemy.exc import DBAPIError

from events import TidingsError, database
from events.db_errors import describe_error

_GROUP: Final = (
    "tidings.commands"  # of entry points, so that each command is imported when it is called
)


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=_GROUP)}


class Commands(click.Group):
    """Imports a command when it is asked for, and says what went wrong in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order in which one meets them."""
        return list(_entry_points())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called `cmd_name`."""
        found = _entry_points().get(cmd_name)
        command: click.Command | None = found.load() if found else None
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What it raises ends it with exit code 1."""
        try:
            return super().invoke(ctx)
        except TidingsError as error:
            raise click.ClickException(str(error)) from error
        except DBAPIError as error:
            raise click.ClickException(_database_trouble(error)) from error


def _database_trouble(error: DBAPIError) -> str:
    said = describe_error(error)
    unmade = any(
        each in said for each in ("no such table", "does not exist", "unable to open database file")
    )
    hint = "; has `tidings migrate` run?" if unmade else ""
    return f"the database at {database.database().url.render_as_string()} says: {said}{hint}"
