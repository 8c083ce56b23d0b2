"""`tidings dead-letters`: list, show, replay and discard deliveries whose retries are used up."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import click

from events import reading
from events.admin import dead_letters as admin
from events.tables import Attempt
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import (
    cell,
    counted,
    json_option,
    nothing_found,
    print_json,
    print_table,
    progress_bar,
)
from tidings.cli.parameters import WholeNumber

F = TypeVar("F", bound=Callable[..., Any])
_COLUMNS = ("id", "event", "subject", "attempts", "died", "error")
_GROUP_COLUMNS = ("count", "subscription", "event", "first", "last", "fingerprint", "error")
_ATTEMPT_FIELDS = (
    "number",
    "started_at",
    "took",
    "worker",
    "error_type",
    "message",
    "traceback",
)


def selection_options(command: F) -> F:
    """Add the options that select dead letters; those that match all given options are selected."""
    for name, what in (
        ("fingerprint", "fingerprint, as listed"),
        ("subscription", "subscription"),
        ("queue", "queue"),
    ):
        command = click.option(f"--{name}", help=f"Only those with this {what}.")(command)
    return command


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show, replay and discard dead letters."""


@dead_letters.command("list")
@selection_options
@click.option(
    "--limit",
    type=WholeNumber(1, 10_000),
    default=100,
    show_default=True,
    help="Maximum number of dead letters.",
)
@click.option("--group", "grouped", is_flag=True, help="Show one line for each common cause.")
@json_option
def list_dead_letters(*, grouped: bool, limit: int, as_json: bool, **selected: str | None) -> None:
    """List dead letters, the latest first."""
    if grouped and any(selected.values()):
        raise click.UsageError("--group shows all dead letters; omit the other filters")
    with reading() as session:
        found = (
            admin.groups(session)
            if grouped
            else admin.listed(session, limit=limit, before=None, **selected)
        )
    if as_json:
        print_json([asdict(each) for each in found])
        return
    columns = _GROUP_COLUMNS if grouped else _COLUMNS
    print_table(columns, [_row(each) for each in found], empty="no dead letters")


@dead_letters.command()
@click.argument("dead_letter_id", metavar="ID")
@json_option
def show(dead_letter_id: str, *, as_json: bool) -> None:
    """Show one dead letter with its failed attempts."""
    with reading() as session:
        dead_letter = asdict(admin.show(session, dead_letter_id))
        failed = [_attempt(each) for each in admin.attempts(session, dead_letter_id)]
    if as_json:
        print_json(dead_letter | {"failed_attempts": failed})
        return
    for name, value in dead_letter.items():
        echo(f"{name.replace('_', ' '):<13} {cell(value)}")
    for each in failed:
        took = cell(each["took"])
        echo(
            f"\nattempt {each['number']} at {cell(each['started_at'])}, {took}, on {each['worker']}"
        )
        echo(each["traceback"].rstrip())


@dead_letters.command()
@click.argument("ids", nargs=-1)
@selection_options
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@why_option
def replay(**selected: Any) -> None:
    """Send dead letters again; their failed attempts are kept."""
    echo(f"sent again: {counted(_settle(admin.replay, **selected), 'dead letter')}")


@dead_letters.command()
@click.argument("ids", nargs=-1)
@selection_options
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@why_option
def discard(**selected: Any) -> None:
    """Discard dead letters; their events stay in the log."""
    echo(f"discarded: {counted(_settle(admin.discard, **selected), 'dead letter')}")


def _settle(
    act: Callable[..., int],
    *,
    ids: tuple[str, ...],
    why: str,
    everything: bool,
    **selected: str | None,
) -> int:
    if sum((bool(ids), any(selected.values()), everything)) != 1:
        raise click.UsageError(
            "select dead letters by ids, or by --queue, --subscription and --fingerprint, "
            "or with --all"
        )
    why = needed(why)
    which: dict[str, Any] = {"ids": ids or None, "everything": everything, **selected}
    with reading() as session:
        total = admin.count(session, **which)
    with progress_bar("dead letters", total) as progress:
        count = act(who=who(), why=why, progress=progress, **which)
    return count or nothing_found("no dead letter is selected by this; nothing was changed")


def _row(each: admin.DeadLetterView | admin.Group) -> tuple[object, ...]:
    error = each.error.strip().partition("\n")[0]
    if isinstance(each, admin.Group):
        return (
            each.count,
            each.subscription,
            each.event_type,
            each.first,
            each.last,
            each.fingerprint,
            error,
        )
    event = f"{each.event_type} v{each.event_version}"
    return (each.id, event, each.subject, each.attempts, each.died_at, error)


def _attempt(row: Attempt) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _ATTEMPT_FIELDS}
