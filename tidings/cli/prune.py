"""`tidings prune`: forget what is long over."""

from dataclasses import asdict
from datetime import datetime, timedelta

import click

from events import clock
from events.admin import retention
from tidings.cli.audit_options import who, why_option
from tidings.cli.output import json_option, print_json, print_table

_WHAT = {
    "dead_letters": "dead letters and discarded deliveries",
    "done": "handled deliveries",
    "attempts": "failed tries of both",
    "invalid_messages": "invalid_messages",
    "events": "events",
}


@click.command()
@click.option(
    "--dead-after",
    type=click.IntRange(1),
    metavar="DAYS",
    default=90,
    show_default=True,
    help="Forget dead letters, discarded deliveries and invalid messages that are older.",
)
@click.option(
    "--done-after",
    type=click.IntRange(1),
    metavar="DAYS",
    help="Forget handled deliveries that are older; kept otherwise.",
)
@click.option(
    "--events-after",
    type=click.IntRange(1),
    metavar="DAYS",
    help="Forget events that are older; kept otherwise.",
)
@click.option("--dry-run", is_flag=True, help="Only count.")
@why_option
@json_option
def prune(
    *,
    dead_after: int,
    done_after: int | None,
    events_after: int | None,
    dry_run: bool,
    why: str,
    as_json: bool,
) -> None:
    """Forget what is long over: dead letters and invalid messages, on request handled deliveries and whole stories.

    An event goes only when nothing happened to its subject since and the ledger has nothing of it left; --events-after
    therefore takes handled deliveries of that age along. What is open is never touched.
    """
    limits = retention.Limits(
        dead=_ago(dead_after),
        done=_optional(done_after or events_after),
        events=_optional(events_after),
    )
    counts = asdict(
        retention.count(limits) if dry_run else retention.prune(limits, who=who(), why=why)
    )
    if as_json:
        print_json(counts)
        return
    rows = [(_WHAT[name], number) for name, number in counts.items()]
    print_table(("what", "would be forgotten" if dry_run else "forgotten"), rows, empty="")


def _ago(days: int) -> datetime:
    return clock.now() - timedelta(days=days)


def _optional(days: int | None) -> datetime | None:
    return None if days is None else _ago(days)
