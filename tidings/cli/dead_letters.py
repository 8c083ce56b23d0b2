"""`tidings dead-letters`: list, show, replay and discard deliveries whose retries are used up."""

from dataclasses import asdict
from typing import Any

import click

from events import reading
from events.admin import dead_letters as admin
from events.admin.triage import Triage, of_groups
from events.search import dead
from events.search.dead import Cursor
from events.search.query import Query
from events.tables import Attempt
from tasks import impact
from tasks.search_fields import dead_letters_query
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.dead_letter_export import export
from tidings.cli.dry_run import dry_run
from tidings.cli.edit import edit
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
from tidings.cli.replay_options import (
    pace_options,
    selection,
    selection_options,
    start_replay,
    tell_start,
)
from tidings.cli.search_options import query_option, tell_part
from tidings.cli.triage import triage

_COLUMNS = ("id", "event", "subject", "attempts", "died", "error")
_GROUP_COLUMNS = (
    *("count", "orders", "money", "waiting", "state", "owner", "subscription"),
    *("last", "fingerprint", "error"),
)
_ATTEMPT_FIELDS = (
    "number",
    "started_at",
    "took",
    "worker",
    "error_type",
    "message",
    "traceback",
)


def _cursor(context: click.Context, parameter: click.Parameter, value: str | None) -> Cursor | None:
    try:
        return dead.cursor(value) if value else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show, export, replay and discard dead letters; run their handlers without effect."""


for command in (dry_run, edit, export, triage):
    dead_letters.add_command(command)


@dead_letters.command("list")
@selection_options
@click.option(
    "--limit",
    type=WholeNumber(1, 10_000),
    default=100,
    show_default=True,
    help="Maximum number of dead letters.",
)
@query_option(dead_letters_query)
@click.option("--before", callback=_cursor, metavar="CURSOR", help="Only those that died earlier.")
@click.option("--group", "grouped", is_flag=True, help="Show one line for each common cause.")
@json_option
def list_dead_letters(
    *,
    grouped: bool,
    query: Query,
    before: Cursor | None,
    limit: int,
    as_json: bool,
    **selected: str | None,
) -> None:
    """List dead letters, the latest first.

    A query is made of terms as that of `tidings events list`, and queue:, subscription: and
    fingerprint:; its times are those of the deaths. All must match.
    """
    if grouped and (query or before or any(selected.values())):
        raise click.UsageError("--group shows all dead letters; omit the other filters")
    if grouped:
        _list_groups(as_json=as_json)
        return
    with reading() as session:
        found = dead.search(session, query, before=before, limit=limit, **selected)
    tell_part(found.note, f"--before {dead.written(found.older)}" if found.older else "")
    if as_json:
        print_json([asdict(each) for each in found.rows])
        return
    print_table(_COLUMNS, [_row(each) for each in found.rows], empty="no dead letters")


def _list_groups(*, as_json: bool) -> None:
    with reading() as session:
        rows = impact.ranked(session, admin.groups(session)).rows
        noted = of_groups(session, [group for group, _ in rows])
    found = [(*row, each) for row, each in zip(rows, noted, strict=True)]
    if as_json:
        print_json(
            [
                asdict(group) | {"impact": _plain(held_up), "triage": asdict(each)}
                for group, held_up, each in found
            ]
        )
        return
    print_table(_GROUP_COLUMNS, [_group_row(*each) for each in found], empty="no dead letters")


def _plain(held_up: impact.Impact) -> dict[str, Any]:
    return {**vars(held_up), "money": [each.model_dump() for each in held_up.money]}


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
@pace_options
@why_option
def replay(ids: tuple[str, ...], **options: Any) -> None:
    """Start a job that sends dead letters again, as `tidings replays start` does."""
    tell_start(start_replay(ids, **options))


@dead_letters.command()
@click.argument("ids", nargs=-1)
@selection_options
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@why_option
def discard(ids: tuple[str, ...], *, why: str, everything: bool, **filters: str | None) -> None:
    """Discard dead letters; their events stay in the log."""
    chosen = selection(ids, everything=everything, **filters)
    why = needed(why)
    with reading() as session:
        total = admin.count(session, **chosen)
    with progress_bar("dead letters", total) as progress:
        count = admin.discard(who=who(), why=why, progress=progress, **chosen)
    if not count:
        nothing_found(str(admin.NothingToDiscard()))
    echo(f"discarded: {counted(count, 'dead letter')}")


def _group_row(group: admin.Group, held_up: impact.Impact, triage: Triage) -> tuple[object, ...]:
    state = f"fixed in {triage.version}" if triage.state == "fixed" else triage.state
    if triage.canary:
        state += f", canary {triage.canary_outcome}"
    return (
        *(group.count, held_up.orders_text, held_up.money_text),
        *(held_up.longest_wait, state, triage.owner),
        *(group.subscription, group.last, group.fingerprint),
        _first_line(group.error),
    )


def _first_line(error: str) -> str:
    return error.strip().partition("\n")[0]


def _row(each: admin.DeadLetterView) -> tuple[object, ...]:
    error = _first_line(each.error)
    event = f"{each.event_type} v{each.event_version}"
    return (each.id, event, each.subject, each.attempts, each.died_at, error)


def _attempt(row: Attempt) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _ATTEMPT_FIELDS}
