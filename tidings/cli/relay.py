"""`tidings relay`: the process that turns events into deliveries and sends them."""

import click

from events.cli.relay import run_relay
from tasks.celery import app


@click.command()
def relay() -> None:
    """Turn events into deliveries and send due deliveries, until SIGINT or SIGTERM.

    One relay is enough. Several share the work on PostgreSQL and take over when one dies.
    """
    run_relay(app)
