"""`tidings subscriptions`, `pause`, `resume`, `backfill`: subscriptions and their operation."""

from typing import Any

import click

from events import reading, transaction
from events.admin import replays
from events.admin import subscriptions as admin
from events.tables import SubscriptionRow
from tasks.durations import policy_json, retry_text
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import (
    ago,
    json_option,
    list_by_default,
    nothing_found,
    print_json,
    print_table,
    progress_bar,
)
from tidings.cli.replay_options import nothing_is_no_error, pace_of, pace_options, tell_start

_COLUMNS = ("subscription", "events", "batch", "retried", "last seen", "paused")


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def subscriptions(context: click.Context, *, as_json: bool) -> None:
    """List and remove subscriptions; without a command, list them."""
    list_by_default(context, list_subscriptions, as_json=as_json)


@subscriptions.command("list")
@json_option
def list_subscriptions(*, as_json: bool) -> None:
    """List every subscription."""
    with reading() as session:
        rows = admin.listed(session)
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    empty = "no subscription is registered yet; `tidings migrate` registers those of the code"
    print_table(_COLUMNS, [_row(row) for row in rows], empty=empty)


@subscriptions.command()
@click.argument("name")
@why_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def remove(name: str, *, why: str, yes: bool) -> None:
    """Unregister a subscription whose code was removed, and discard its open deliveries."""
    why = needed(why)
    if not yes:
        click.confirm("Its open deliveries will be discarded. Continue?", abort=True)
    with progress_bar("discarding deliveries") as progress:
        discarded = admin.unregister(name, who=who(), why=why, progress=progress)
    echo(f"{name} is unregistered; {discarded} open deliveries were discarded")


@click.command()
@click.argument("subscription")
@why_option
def pause(subscription: str, why: str) -> None:
    """Stop the sends of a subscription; its backlog is kept."""
    why = needed(why)
    with transaction() as session:
        paused = admin.pause(session, subscription, who=who(), why=why)
    if not paused:
        nothing_found(f"{subscription} is paused already; nothing was changed")
    resume = f"tidings resume {subscription} --why REASON"
    echo(f"{subscription} is paused; `{resume}` sends its backlog")


@click.command()
@click.argument("subscription")
@why_option
def resume(subscription: str, why: str) -> None:
    """Send the backlog of a paused subscription and continue."""
    why = needed(why)
    with transaction() as session:
        resumed = admin.resume(session, subscription, who=who(), why=why)
    if not resumed:
        nothing_found(f"{subscription} is not paused; nothing was changed")
    echo(f"{subscription} is resumed")


@click.command()
@click.argument("subscription")
@click.option("--type", "event_type", metavar="TYPE", help="Only events of this type.")
@pace_options
@why_option
def backfill(
    subscription: str,
    *,
    event_type: str | None,
    rate: float | None,
    steps: tuple[int, ...],
    stop_above: float,
    why: str,
) -> None:
    """Start a job that delivers to a subscription the events older than it, of its types."""
    pace, why = pace_of(steps, rate, stop_above), needed(why)
    with nothing_is_no_error(), transaction() as session:
        job = replays.start_backfill(
            session, subscription, who=who(), why=why, pace=pace, event_type=event_type
        )
    tell_start(job)


def _row(row: SubscriptionRow) -> tuple[object, ...]:
    paused = "no"
    if row.paused_at:
        paused = f"{ago(row.paused_at)} by {row.paused_by}: {row.paused_why or 'no reason given'}"
    return (
        row.name,
        ", ".join(row.event_types),
        row.batch,
        retry_text(admin.policy_of(row.policy)),
        ago(row.last_seen),
        paused,
    )


def _plain(row: SubscriptionRow) -> dict[str, Any]:
    plain = {column.key: getattr(row, column.key) for column in SubscriptionRow.__table__.columns}
    return plain | {"policy": policy_json(admin.policy_of(row.policy))}
