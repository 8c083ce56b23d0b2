"""`tidings orders cancel` and `replay`: an order is cancelled, or its dead letters replayed."""

import click

from events import transaction
from tasks import order_replays
from tasks import orders as shop
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo
from tidings.cli.order_argument import find_order, order_argument
from tidings.cli.replay_options import nothing_is_no_error, tell_start


@click.command()
@order_argument
@why_option
def cancel(order: str, why: str) -> None:
    """Cancel an order that is not shipped; the services undo the steps that were done."""
    why = needed(why)
    with transaction() as session:
        found = find_order(session, order)
        shop.cancel(session, found.id, reason=why, who=who())
        number = found.number
    echo(f"{number} is cancelled")


@click.command()
@order_argument
@why_option
def replay(order: str, why: str) -> None:
    """Start a job that replays every dead letter of an order."""
    why = needed(why)
    with nothing_is_no_error(), transaction() as session:
        found = find_order(session, order)
        job = order_replays.replay(session, found.id, who=who(), why=why)
    tell_start(job)
