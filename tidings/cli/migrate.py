"""`tidings migrate`: bring the database up to date."""

import click

from events.database import database
from tidings.all_settings import require_all_valid
from tidings.cli.encoding import echo
from tidings.cli.parameters import Number
from tidings.migrations.run import LOCK_TIMEOUT
from tidings.migrations.run import migrate as run_migrations


@click.command()
@click.option(
    "--lock-timeout",
    type=Number(0.1, 86400),
    default=LOCK_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="Give up after so long a wait for a lock of PostgreSQL.",
)
def migrate(lock_timeout: float) -> None:
    """Bring the database up to date: tables, first products, subscriptions.

    Run it before the first start and after each update. A second run changes nothing.
    """
    require_all_valid()
    done = run_migrations(database(), lock_timeout=lock_timeout)
    for revision in done.applied:
        echo(f"applied migration {revision}")
    for table in done.created:
        echo(f"created table {table}, which no migration contains")
    if done.seeded:
        echo("added the first products and their stock")
    echo(f"the database is up to date; {done.subscriptions} subscriptions are registered")
