"""`tidings events`: the event log, and the deliveries of each event."""

import json
from dataclasses import asdict
from typing import Any
from uuid import UUID

import click
from sqlalchemy.orm import Session

from events import TidingsError, log, reading
from events.admin import trace
from events.admin.trace import TracedEvent
from events.search import find
from events.search.query import Query, Term
from tasks.commands import order_number
from tasks.search_fields import events_query
from tidings.cli.encoding import echo, is_unicode
from tidings.cli.output import cell, json_option, print_json, print_table
from tidings.cli.parameters import Rule, WholeNumber
from tidings.cli.search_options import query_option, tell_part

_COLUMNS = ("position", "time", "type", "subject", "source", "id")
_DELIVERY_COLUMNS = ("subscription", "state", "attempts", "due", "done", "error")
_ATTEMPT_FIELDS = ("number", "started_at", "took", "worker", "error_type", "message")


class NotInLog(TidingsError):
    """The log contains neither an event with this id nor one with this subject."""


@click.group()
def events() -> None:
    """List and show the events of the log."""


@events.command("list")
@click.option(
    "--type", "event_type", metavar="TYPE", help="Only events of this type, such as order.created."
)
@click.option(
    "--subject",
    metavar="NUMBER",
    type=Rule(order_number),
    help="Only events of this subject, such as ORD-1042.",
)
@query_option(events_query)
@click.option(
    "--limit",
    type=WholeNumber(1, 10_000),
    default=50,
    show_default=True,
    help="Maximum number of events.",
)
@click.option("--before", type=WholeNumber(1), metavar="POSITION", help="Only older events.")
@json_option
def list_events(
    *,
    event_type: str | None,
    subject: str | None,
    query: Query,
    limit: int,
    before: int | None,
    as_json: bool,
) -> None:
    """List the latest events, newest first; with --json as CloudEvents.

    A query is made of terms such as type:order.created subject:ORD-1042 id:… correlation:… user:ada
    tenant:acme since:2026-11-25 until:2026-11-25T14:30 error:"timed out" and
    data.email=ada@example.org. All must match.
    """
    named = (("type", event_type), ("subject", subject))
    terms = tuple(Term(name, value) for name, value in named if value)
    with reading() as session:
        found = find.events(session, Query(terms + query.terms), before=before, limit=limit)
    entries = found.rows
    tell_part(found.note, f"--before {found.older}")
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
    print_table(_COLUMNS, rows, empty="no events")


@events.command()
@click.argument("id_or_subject", metavar="ID|NUMBER")
@json_option
def show(id_or_subject: str, *, as_json: bool) -> None:
    """Show an event by its id, or all events of an order by its number, with their deliveries."""
    with reading() as session:
        found = _trace(session, id_or_subject)
    if as_json:
        print_json([_plain(each) for each in found])
        return
    for each in found:
        _print(each)


def _trace(session: Session, id_or_subject: str) -> list[TracedEvent]:
    try:
        event = trace.of_event(session, UUID(id_or_subject))
        found = [event] if event else []
    except ValueError:
        found = trace.of(session, order_number(id_or_subject))
    if not found:
        raise NotInLog(
            f"the log has no event with the id or the subject {id_or_subject!r}; "
            "`tidings events list` shows its events"
        )
    return found


def _plain(each: TracedEvent) -> dict[str, Any]:
    return {
        "event": json.loads(each.envelope.to_json()),
        "deliveries": [_delivery(asdict(delivery)) for delivery in each.deliveries],
    }


def _delivery(plain: dict[str, Any]) -> dict[str, Any]:
    failed = [
        {name: getattr(attempt, name) for name in _ATTEMPT_FIELDS}
        for attempt in plain["failed_attempts"]
    ]
    return plain | {"failed_attempts": failed}


def _print(each: TracedEvent) -> None:
    envelope = each.envelope
    kind = f"{envelope.type} v{envelope.version}"
    title = f"{cell(envelope.time)}  {kind}  {envelope.subject or ''}  {envelope.id}"
    echo(title, bold=True)
    echo(json.dumps(envelope.data, ensure_ascii=not is_unicode()))
    rows = [
        (
            row.subscription,
            row.state,
            f"{row.attempts} of {row.max_attempts}" if row.max_attempts else row.attempts,
            row.due_at,
            row.done_at,
            (row.error or "").partition("\n")[0],
        )
        for row in each.deliveries
    ]
    print_table(_DELIVERY_COLUMNS, rows, empty="no deliveries yet")
    echo()
