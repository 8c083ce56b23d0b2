"""The operator's name and reason, which a command records in the audit."""

import getpass
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def who() -> str:
    """Return `user@host` of the person who runs the command."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def why_option(command: F) -> F:
    """Add `--why`: the reason."""
    return click.option(
        "--why", default="", metavar="REASON", help="The reason; it is recorded in the audit."
    )(command)
