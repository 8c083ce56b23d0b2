"""`celery -A your.app bus`: the commands of the bus for an application of your own."""

from typing import Any

import click

from events import environment
from events.admin import schema
from events.cli.alive import alive
from events.cli.contracts import contracts
from events.cli.group import BusGroup
from events.cli.relay import run_relay
from events.database import database
from events.subscriptions import registered


@click.group(cls=BusGroup, commands=[alive, contracts])
def bus() -> None:
    """Operate the event bus of this application."""


@bus.command()
@click.pass_context
def migrate(ctx: click.Context) -> None:
    """Create the missing tables of the bus, and register the subscriptions of this application.

    Run it before the first start and after each change of a subscription. A second run changes
    nothing. An application with migrations of its own creates the tables there.
    """
    _app(ctx)
    environment.require_valid()
    subscriptions = registered().values()
    for table in schema.prepare(database(), subscriptions):
        click.echo(f"created table {table}")
    click.echo(f"the database is up to date; {len(subscriptions)} subscriptions are registered")


@bus.command()
@click.pass_context
def relay(ctx: click.Context) -> None:
    """Turn events into deliveries and send due deliveries, until SIGINT or SIGTERM.

    One relay is enough. Several share the work on PostgreSQL and take over when one dies.
    """
    run_relay(_app(ctx))


def _app(ctx: click.Context) -> Any:
    """Return the Celery app of `-A`, if it has a task for each subscription."""
    app = ctx.obj.app
    app.loader.import_default_modules()
    if not registered():
        raise click.UsageError(
            "this app has no subscription; name yours with `celery -A your.app bus ...`, and "
            "import the modules that subscribe in its module"
        )
    if missing := sorted(registered().keys() - app.tasks.keys()):
        raise click.UsageError(
            f"no task handles {missing[0]}; call transport.install(app, registered().values()) "
            "after the imports of all modules that subscribe"
        )
    return app
