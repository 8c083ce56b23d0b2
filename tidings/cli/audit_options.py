"""The operator's name and reason, which a command records in the audit."""

import getpass
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import click

from events.inputs import REASON, only_text
from tidings.cli.parameters import Rule

F = TypeVar("F", bound=Callable[..., Any])


def who() -> str:
    """Return `user@host` of the person who runs the command."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        user = "unknown"
    return only_text(f"{user}@{socket.gethostname()}")[:200]


def why_option(command: F) -> F:
    """Add `--why`: the reason."""
    return click.option(
        "--why",
        default="",
        metavar="REASON",
        type=Rule(REASON),
        help="The reason; it is recorded in the audit.",
    )(command)
