"""`tidings prune`: delete old rows."""

from dataclasses import asdict
from datetime import datetime, timedelta

import click

from events import clock, reading
from events.admin import retention
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.output import json_option, print_json, print_table, progress_bar
from tidings.cli.parameters import WholeNumber

MAX_DAYS = 36_500  # a hundred years; the calendar ends before the numbers do
_LABELS = {
    "dead_letters": "dead letters and discarded deliveries",
    "done": "handled deliveries",
    "attempts": "attempts of both",
    "invalid_messages": "invalid messages",
    "events": "events",
    "audit": "lines of the audit",
}


@click.command()
@click.option(
    "--dead-after",
    type=WholeNumber(1, MAX_DAYS),
    metavar="DAYS",
    default=90,
    show_default=True,
    help="Age of dead letters, discarded deliveries and invalid messages.",
)
@click.option(
    "--done-after",
    type=WholeNumber(1, MAX_DAYS),
    metavar="DAYS",
    help="Age of handled deliveries; default: keep them.",
)
@click.option(
    "--events-after",
    type=WholeNumber(1, MAX_DAYS),
    metavar="DAYS",
    help="Age of events; default: keep them.",
)
@click.option(
    "--audit-after",
    type=WholeNumber(1, MAX_DAYS),
    metavar="DAYS",
    help="Age of the lines of the audit; default: keep them.",
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@why_option
@json_option
def prune(
    *,
    dead_after: int,
    done_after: int | None,
    events_after: int | None,
    audit_after: int | None,
    dry_run: bool,
    why: str,
    as_json: bool,
) -> None:
    """Delete dead letters and invalid messages and, on request, handled deliveries and events.

    An event is deleted only if its subject has no newer event and the ledger no row of it;
    --events-after therefore deletes handled deliveries of that age too. Open deliveries are never
    deleted.
    """
    limits = retention.Limits(
        dead=_days_ago(dead_after),
        done=_optional_days_ago(done_after or events_after),
        events=_optional_days_ago(events_after),
        audit=_optional_days_ago(audit_after),
    )
    counts = asdict(retention.count(limits) if dry_run else _prune(limits, needed(why)))
    if as_json:
        print_json(counts)
        return
    rows = [(_LABELS[name], number) for name, number in counts.items()]
    print_table(("rows", "would be deleted" if dry_run else "deleted"), rows, empty="")


def _prune(limits: retention.Limits, why: str) -> retention.Counts:
    with progress_bar("deleting rows") as progress:
        return retention.prune(limits, who=who(), why=why, progress=progress)


def _days_ago(days: int) -> datetime:
    with reading():  # which measures the clock
        return clock.now() - timedelta(days=days)


def _optional_days_ago(days: int | None) -> datetime | None:
    return None if days is None else _days_ago(days)
