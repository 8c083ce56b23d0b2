"""`tidings dead-letters`: look at what no retry saved, send it again, or give it up."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import click

from events import reading, transaction
from events.admin import dead_letters as ledger
from events.tables import Attempt
from tidings.cli.audit_options import who, why_option
from tidings.cli.output import cell, counted, json_option, print_json, print_table

F = TypeVar("F", bound=Callable[..., Any])
_COLUMNS = ("id", "event", "about", "tries", "died", "error")
_TRIES = ("number", "started_at", "took", "worker", "error_type", "message", "traceback")


def filters(command: F) -> F:
    """Which dead letters: those that fit every option given."""
    for name, told in (
        ("fingerprint", "where it failed, as shown"),
        ("subscription", "subscription"),
        ("queue", "queue"),
    ):
        command = click.option(f"--{name}", help=f"Only those of this {told}.")(command)
    return command


@click.group("dead-letters")
def dead_letters() -> None:
    """Deliveries that no retry saved."""


@dead_letters.command("list")
@filters
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="At most so many.",
)
@click.option("--group", "grouped", is_flag=True, help="One line for all that failed alike.")
@json_option
def listed(*, grouped: bool, limit: int, as_json: bool, **chosen: str | None) -> None:
    """List dead letters, the latest death first."""
    if grouped and any(chosen.values()):
        raise click.UsageError("--group shows all of them; leave the filters out")
    with reading() as session:
        found = ledger.groups(session) if grouped else ledger.listed(session, limit=limit, **chosen)
    if as_json:
        print_json([asdict(each) for each in found])
        return
    columns = (
        ("count", "subscription", "event", "first", "last", "fingerprint", "error")
        if grouped
        else _COLUMNS
    )
    print_table(columns, [_row(each) for each in found], empty="no dead letter")


@dead_letters.command()
@click.argument("id")
@json_option
def show(id: str, *, as_json: bool) -> None:
    """Show one dead letter with every try."""
    with reading() as session:
        letter, tries = (
            asdict(ledger.show(session, id)),
            [_try(each) for each in ledger.attempts(session, id)],
        )
    if as_json:
        print_json(letter | {"tries": tries})
        return
    for name, value in letter.items():
        click.echo(f"{name.replace('_', ' '):<13} {cell(value)}")
    for each in tries:
        click.echo(
            f"\ntry {each['number']} at {cell(each['started_at'])}, {cell(each['took'])}, by {each['worker']}\n{each['traceback'].rstrip()}"
        )


@dead_letters.command()
@click.argument("ids", nargs=-1)
@filters
@click.option("--all", "everything", is_flag=True, help="Every dead letter there is.")
@why_option
def replay(**asked: Any) -> None:
    """Send dead letters again, with all their tries before them."""
    click.echo(f"sent again: {counted(_settle(ledger.replay, **asked), 'dead letter')}")


@dead_letters.command()
@click.argument("ids", nargs=-1)
@filters
@click.option("--all", "everything", is_flag=True, help="Every dead letter there is.")
@why_option
def discard(**asked: Any) -> None:
    """Give dead letters up; their events stay in the log."""
    click.echo(f"given up: {counted(_settle(ledger.discard, **asked), 'dead letter')}")


def _settle(
    act: Callable[..., int],
    *,
    ids: tuple[str, ...],
    why: str,
    everything: bool,
    **chosen: str | None,
) -> int:
    if sum((bool(ids), any(chosen.values()), everything)) != 1:
        raise click.UsageError(
            "say which ones: ids, or filters (--queue, --subscription, --fingerprint), or --all"
        )
    with transaction() as session:
        return act(session, who=who(), why=why, ids=ids or None, everything=everything, **chosen)


def _row(each: ledger.DeadLetterView | ledger.Group) -> tuple[object, ...]:
    error = each.error.strip().partition("\n")[0]
    if isinstance(each, ledger.Group):
        return (
            each.count,
            each.subscription,
            each.event_type,
            each.first,
            each.last,
            each.fingerprint,
            error,
        )
    return (
        each.id,
        f"{each.event_type} v{each.event_version}",
        each.subject,
        each.attempts,
        each.died_at,
        error,
    )


def _try(each: Attempt) -> dict[str, Any]:
    return {name: getattr(each, name) for name in _TRIES}
