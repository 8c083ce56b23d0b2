"""Who runs a command, and why: both go into the audit."""

import getpass
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def who() -> str:
    """The user of this machine who runs the command, for the audit."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user that has no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def why_option(command: F) -> F:
    """`--why`: the reason, for the audit."""
    return click.option(
        "--why", default="", metavar="REASON", help="Why you do it; goes into the audit."
    )(command)
