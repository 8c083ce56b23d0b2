"""The operator's name and reason, which a command records in the audit."""

import os
import pwd
import socket
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from events.inputs import NEEDED_REASON, REASON, only_text
from tidings.cli.parameters import Rule

F = TypeVar("F", bound=Callable[..., Any])


def who() -> str:
    """Return `user@host` of the person who runs the command.

    The user is the process's real one, whom the kernel knows: `LOGNAME` and `USER` can be set by
    anybody. A container may run as a user without a name, `uid 1001`.
    """
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = f"uid {uid}"
    return only_text(f"{user}@{socket.gethostname()}")[:200]


class WhyOption(click.Option):
    """The option `--why`, which may be spelled `--reason` too; the help has the one word."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the line of the help, without the other spelling."""
        record = super().get_help_record(ctx)
        return record and (record[0].replace(", --reason", ""), record[1])


def why_option(command: F) -> F:
    """Add `--why`, the reason, which `needed` demands."""
    return click.option(
        "--why",
        "--reason",
        "why",
        cls=WhyOption,
        default="",
        metavar="REASON",
        type=Rule(REASON),
        help="The reason, which is recorded in the audit. Without it, a terminal is asked.",
    )(command)


def needed(why: str) -> str:
    """Return the reason; without one, ask the terminal, or end with exit code 2."""
    if why:
        return why
    if not sys.stdin.isatty():
        raise click.UsageError(
            'the reason is missing; add --why, such as --why "provider is back". '
            "It is recorded in the audit"
        )
    asked: str = click.prompt("Reason, for the audit", type=Rule(NEEDED_REASON), err=True)
    return asked
