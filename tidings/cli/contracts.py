"""`tidings contracts`: the bus's commands on the events of the shop and its services."""

import click

from events.cli.contracts import contracts as of_bus
from events.subscriptions import discover


@click.group(commands=of_bus.commands)
def contracts() -> None:
    """Compare the events with the committed contracts, and publish them as AsyncAPI."""
    discover("tasks", skip={"celery"})
