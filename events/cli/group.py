"""The group of commands that prints errors of the bus on one line."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
from sqlalchemy.exc import DBAPIError

from events import database, logs
from events.db_errors import describe_error
from events.environment import WRONG_SETTINGS, InvalidSettings
from events.errors import TidingsError
from events.inputs import escaped, escaped_lines

_UNWRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_NOT_MIGRATED = ("no such table", "does not exist", "unable to open database file")


class BusGroup(click.Group):
    """A group in which an error of Tidings or of the database ends the command with exit code 1,
    and wrong settings with 2.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its errors are printed on one line."""
        with errors_on_one_line("celery -A your.app bus migrate"):
            return super().invoke(ctx)


@contextmanager
def errors_on_one_line(migrate_command: str) -> Iterator[None]:
    """Turn errors into those of click. The output is the command's own: the log goes to stderr,
    from warnings on.
    """
    logs.log_through_logging()
    try:
        yield
    except InvalidSettings as error:
        raise _WrongSettings(str(error)) from error
    except TidingsError as error:
        raise click.ClickException(escaped(str(error))) from error
    except click.ClickException as error:
        # It may repeat an argument or the name of a file. The attribute is final for type checkers.
        vars(error)["message"] = escaped_lines(error.message)
        raise
    except DBAPIError as error:
        raise click.ClickException(_describe(error, migrate_command)) from error
    except OSError as error:
        check_output(error)
        raise


def check_output(error: OSError) -> None:
    """Raise click's error if the output could not be written, because its disk is full or fails.

    What is left of it is given up: the interpreter would write it again at its end, and fail again.
    """
    if error.filename is not None or error.errno not in _UNWRITTEN:
        return
    with suppress(OSError, AttributeError):  # it may be closed, or no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise click.ClickException(f"the output cannot be written: {error.strerror}") from error


def _describe(error: DBAPIError, migrate_command: str) -> str:
    reason = describe_error(error)
    unmigrated = any(each in reason for each in _NOT_MIGRATED)
    hint = f"; has `{migrate_command}` run?" if unmigrated else ""
    url = database.database().url.render_as_string()
    return f"the database at {url} failed: {reason}{hint}"


class _WrongSettings(click.ClickException):
    """The command was started with settings that cannot work."""

    exit_code = WRONG_SETTINGS
