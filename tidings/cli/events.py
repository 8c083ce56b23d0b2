"""`tidings events`: the event log, and what became of each event."""

import json
from dataclasses import asdict
from typing import Any
from uuid import UUID

import click
from sqlalchemy.orm import Session

from events import TidingsError, log, reading
from events.admin import trace
from events.admin.trace import TracedEvent
from tidings.cli.output import cell, json_option, print_json, print_table

_COLUMNS = ("position", "time", "type", "about", "by", "id")
_DELIVERIES = ("subscription", "state", "failed", "due", "done", "error")


class UnknownToTheLog(TidingsError):
    """Neither an event nor a subject of the log."""


@click.group()
def events() -> None:
    """The event log: everything that ever happened."""


@events.command("list")
@click.option(
    "--type", "event_type", metavar="TYPE", help="Only events of this type, such as order.created."
)
@click.option("--subject", metavar="NUMBER", help="Only what is about this, such as ORD-1042.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="At most so many.",
)
@json_option
def listed(*, event_type: str | None, subject: str | None, limit: int, as_json: bool) -> None:
    """List the latest events, newest first; with --json as CloudEvents."""
    with reading() as session:
        entries = log.listed(session, event_type=event_type, subject=subject, limit=limit)
    if as_json:
        print_json([json.loads(log.envelope(each).to_json()) for each in entries])
        return
    rows = [
        (
            each.position,
            each.time,
            f"{each.type} v{each.version}",
            each.subject,
            each.source,
            each.id,
        )
        for each in entries
    ]
    print_table(_COLUMNS, rows, empty="no event")


@events.command()
@click.argument("what", metavar="ID|NUMBER")
@json_option
def show(what: str, *, as_json: bool) -> None:
    """Show an event by its id, or everything about an order by its number, with what each handler made of it."""
    with reading() as session:
        found = _trace(session, what)
    if as_json:
        print_json([_plain(each) for each in found])
        return
    for each in found:
        _print(each)


def _trace(session: Session, what: str) -> list[TracedEvent]:
    try:
        one = trace.of_event(session, UUID(what))
        found = [one] if one else []
    except ValueError:
        found = trace.of(session, what)
    if not found:
        raise UnknownToTheLog(
            f"the log has no event with the id {what!r} and nothing about it; `tidings events list` shows what there is"
        )
    return found


def _plain(each: TracedEvent) -> dict[str, Any]:
    return {
        "event": json.loads(each.envelope.to_json()),
        "deliveries": [_delivery(asdict(delivery)) for delivery in each.deliveries],
    }


def _delivery(plain: dict[str, Any]) -> dict[str, Any]:
    kept = ("number", "started_at", "took", "worker", "error_type", "message")
    return plain | {
        "tries": [{name: getattr(each, name) for name in kept} for each in plain["tries"]]
    }


def _print(each: TracedEvent) -> None:
    envelope = each.envelope
    click.secho(
        f"{cell(envelope.time)}  {envelope.type} v{envelope.version}  {envelope.subject or ''}  {envelope.id}",
        bold=True,
    )
    click.echo(json.dumps(envelope.data, ensure_ascii=False))
    rows = [
        (
            row.subscription,
            row.state,
            f"{row.attempts} of {row.max_attempts}",
            row.due_at,
            row.done_at,
            (row.error or "").partition("\n")[0],
        )
        for row in each.deliveries
    ]
    print_table(_DELIVERIES, rows, empty="no handler heard of it yet")
    click.echo()
