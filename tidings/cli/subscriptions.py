"""`tidings subscriptions`, `pause`, `resume`, `backfill`: who listens, and what an operator does about it."""

from typing import Any

import click

from events import reading, transaction
from events.admin import subscriptions as admin
from events.tables import SubscriptionRow
from tidings.cli.audit_options import who, why_option
from tidings.cli.output import ago, json_option, print_json, print_table

_COLUMNS = ("subscription", "events", "batch", "tries", "last seen", "paused")


@click.group(invoke_without_command=True)
@click.pass_context
def subscriptions(context: click.Context) -> None:
    """Who listens to what; alone it lists them."""
    if context.invoked_subcommand is None:
        context.invoke(listed, as_json=False)


@subscriptions.command("list")
@json_option
def listed(*, as_json: bool) -> None:
    """List every subscription."""
    with reading() as session:
        rows = admin.listed(session)
    if as_json:
        print_json([_plain(row) for row in rows])
        return
    print_table(
        _COLUMNS,
        [_row(row) for row in rows],
        empty="no subscription yet; `tidings migrate` registers those of this installation",
    )


@subscriptions.command()
@click.argument("name")
@why_option
@click.confirmation_option(prompt="Its open deliveries will be discarded. Go on?")
def remove(name: str, why: str) -> None:
    """Forget a subscription whose code is gone; its open deliveries are discarded."""
    with transaction() as session:
        discarded = admin.unregister(session, name, who=who(), why=why)
    click.echo(f"{name} is forgotten; {discarded} open deliveries were discarded")


@click.command()
@click.argument("subscription")
@why_option
def pause(subscription: str, why: str) -> None:
    """Stop a subscription's sends; its backlog is kept."""
    with transaction() as session:
        admin.pause(session, subscription, who=who(), why=why)
    click.echo(
        f"{subscription} is paused; `tidings resume {subscription}` sends what gathers meanwhile"
    )


@click.command()
@click.argument("subscription")
@why_option
def resume(subscription: str, why: str) -> None:
    """Send a paused subscription's backlog, and go on."""
    with transaction() as session:
        admin.resume(session, subscription, who=who(), why=why)
    click.echo(f"{subscription} goes on")


@click.command()
@click.argument("subscription")
def backfill(subscription: str) -> None:
    """Give a subscription every event of its types that is older than itself."""
    given = admin.backfill(subscription, who=who())
    click.echo(f"{subscription} is given {given} events of the past")


def _row(row: SubscriptionRow) -> tuple[object, ...]:
    paused = (
        f"{ago(row.paused_at)} by {row.paused_by}: {row.paused_why or 'no reason given'}"
        if row.paused_at
        else "no"
    )
    return (
        row.name,
        ", ".join(row.event_types),
        row.batch,
        row.policy["attempts"],
        ago(row.last_seen),
        paused,
    )


def _plain(row: SubscriptionRow) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in SubscriptionRow.__table__.columns}
