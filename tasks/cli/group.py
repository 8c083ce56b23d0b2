"""The group of commands: each is imported when it is called, and each error it makes is one line."""

import importlib
from typing import Any, Final

import click
from sqlalchemy.exc import DBAPIError

from events import TidingsError, database
from events.database import in_words

# By name: `tidings relay` must not load what `tidings up` needs, nor Celery's own commands what ours need.
_PLACES: Final = {
    "up": "tasks.cli.up:up",
    "demo": "tasks.cli.demo:demo",
    "migrate": "tasks.cli.migrate:migrate",
    "relay": "tasks.cli.relay:relay",
    "queues": "tasks.cli.queues:show_queues",
    "events": "tasks.cli.log:events",
    "dead-letters": "tasks.cli.letters:dead_letters",
    "subscriptions": "tasks.cli.subscribers:subscriptions",
    "pause": "tasks.cli.subscribers:pause",
    "resume": "tasks.cli.subscribers:resume",
    "backfill": "tasks.cli.subscribers:backfill",
    "prune": "tasks.cli.prune:prune",
    "erase": "tasks.cli.erase:erase",
    "doctor": "tasks.cli.doctor:doctor",
    "catalog": "tasks.cli.contract:catalog",
    "sandbox": "tasks.cli.sandbox:sandbox",
    "chaos": "tasks.cli.chaos:chaos",
}


class Commands(click.Group):
    """Imports a command when it is asked for, and says what went wrong in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order in which one meets them."""
        return list(_PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called `cmd_name`."""
        if cmd_name not in _PLACES:
            return None
        module, _, name = _PLACES[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
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
    said = in_words(error)
    unmade = any(each in said for each in ("no such table", "does not exist", "unable to open database file"))
    hint = "; has `tidings migrate` run?" if unmade else ""
    return f"the database at {database.database().url.render_as_string()} says: {said}{hint}"
