"""`tidings audit`: list what operators and customers did, and verify the chain of the lines."""

from dataclasses import asdict
from typing import Any

import click

from events import reading
from events.admin import audit as admin
from events.admin.audit import AuditLine, Filters, Role
from events.admin.audit_verification import Mark, Verification, verify
from events.database import snapshot
from events.moments import check_range
from tidings.cli.encoding import echo
from tidings.cli.exit_codes import PROBLEMS_FOUND
from tidings.cli.output import counted, json_option, print_json, print_table
from tidings.cli.parameters import UtcTime, WholeNumber

_COLUMNS = ("id", "at", "who", "action", "target", "count", "reason")


class DefaultList(click.Group):
    """A group that runs `list` when no command is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Add the command that is missing."""
        named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["list", *args])


@click.group(cls=DefaultList)
def audit() -> None:
    """List what operators and customers did; without a command, list the latest acts."""


@audit.command("list")
@click.option("--who", metavar="TEXT", help="Only acts of people whose name contains this.")
@click.option("--action", help="Only this action, such as discard.")
@click.option("--target", metavar="TEXT", help="Only acts on targets that contain this.")
@click.option("--since", type=UtcTime(), help="Only acts from this moment on, in UTC.")
@click.option("--until", type=UtcTime(ends=True), help="Only acts before; a date is included.")
@click.option("--customers", is_flag=True, help="The acts of customers instead of operators.")
@click.option("--limit", type=WholeNumber(1, 10_000), default=50, show_default=True)
@click.option("--before", type=WholeNumber(1), metavar="ID", help="Only lines older than this one.")
@json_option
def list_lines(
    *, limit: int, before: int | None, customers: bool, as_json: bool, **filters: Any
) -> None:
    """List the acts of operators, newest first."""
    try:
        check_range(filters["since"], filters["until"])
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--until") from None
    chosen = Filters(role=Role.CUSTOMER if customers else Role.OPERATOR, **filters)
    with reading() as session:
        lines = admin.listed(session, filters=chosen, before=before, limit=limit)
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    print_table(_COLUMNS, [_row(line) for line in lines], empty="no lines")
    if len(lines) == limit:
        echo(f"older lines: the same command with --before {lines[-1].id}")


def _row(line: AuditLine) -> tuple[object, ...]:
    count = "" if line.count is None else f"{line.count}{'' if line.finished else ', not finished'}"
    who = f"{line.who} ({line.login_role})" if line.login_role else line.who
    return (line.id, line.at, who, line.action, line.target, count, line.why)


def _mark(context: click.Context, parameter: click.Parameter, value: str | None) -> Mark | None:
    if value is None:
        return None
    line, _, line_hash = value.partition(":")
    if not (line.isascii() and line.isdecimal() and len(line) < 19 and line_hash):
        raise click.BadParameter("write ID:HASH, as `tidings audit verify` prints it")
    return Mark(int(line), line_hash)


@audit.command("verify")
@click.option(
    "--expect", metavar="ID:HASH", callback=_mark, help="A line that the audit must contain."
)
@json_option
def verify_chain(*, expect: Mark | None, as_json: bool) -> None:
    """Verify that no line was deleted, changed or inserted.

    Keep the last line that is printed outside the database, and give it as --expect later: that
    shows that the chain was not made anew. Exit code 3: a fault was found.
    """
    with snapshot() as session:
        found = verify(session, expected=expect)
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)
    if found.faults:
        raise click.exceptions.Exit(PROBLEMS_FOUND)


def _print(found: Verification) -> None:
    for fault in found.faults:
        echo(fault)
    if not found.faults:
        echo(f"the chain of {counted(found.lines, 'line')} is unbroken")
    if found.last:
        echo(f"last line: {found.last}")
