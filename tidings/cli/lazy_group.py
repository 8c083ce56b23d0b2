"""The group of commands: it imports a command on its first use and prints errors on one line."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import click
from sqlalchemy.exc import DBAPIError

from events import TidingsError, database
from events.db_errors import describe_error
from events.environment import WRONG_SETTINGS, InvalidSettings, decode
from events.inputs import escaped
from tidings.cli.encoding import escape_output

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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments as UTF-8, also in an ASCII locale, in which output is escaped."""
        escape_output()
        return super().parse_args(ctx, [decode(each) for each in args])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        An error of Tidings or of the database ends it with exit code 1, wrong settings with 2.
        """
        try:
            return super().invoke(ctx)
        except InvalidSettings as error:
            raise _WrongSettings(str(error)) from error
        except TidingsError as error:
            raise click.ClickException(escaped(str(error))) from error
        except DBAPIError as error:
            raise click.ClickException(_describe(error)) from error


class _WrongSettings(click.ClickException):
    """The command was started with settings that cannot work."""

    exit_code = WRONG_SETTINGS


def _describe(error: DBAPIError) -> str:
    reason = describe_error(error)
    hint = "; has `tidings migrate` run?" if any(each in reason for each in _NOT_MIGRATED) else ""
    url = database.database().url.render_as_string()
    return f"the database at {url} failed: {reason}{hint}"
