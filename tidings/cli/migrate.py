"""`tidings migrate`: bring the database up to date."""

import click

from events import Database
from events.database import database
from tidings.all_settings import require_all_valid
from tidings.cli.encoding import echo
from tidings.cli.parameters import Number
from tidings.migrations.run import LOCK_TIMEOUT, Migrated
from tidings.migrations.run import migrate as run_migrations
from tidings.owner_settings import settings


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

    Run it before the first start and after each update. A second run changes nothing. It connects
    to DATABASE_OWNER_URL, if that is set, and lets the role of DATABASE_URL change rows only.
    """
    require_all_valid()
    done = _migrate(lock_timeout)
    for revision in done.applied:
        echo(f"applied migration {revision}")
    for table in done.created:
        echo(f"created table {table}, which no migration contains")
    if done.seeded:
        echo("added the first products and their stock")
    if done.role:
        echo(f"made the role {done.role} of the services")
    echo(f"the database is up to date; {done.subscriptions} subscriptions are registered")


def _migrate(lock_timeout: float) -> Migrated:
    owner, services = settings().database_owner_url, database()
    if not owner:
        return run_migrations(services, lock_timeout=lock_timeout)
    if services.sqlite:
        raise click.UsageError(
            "DATABASE_OWNER_URL is set, but DATABASE_URL names SQLite, which has no roles; unset it"
        )
    chosen = Database(owner)
    try:
        return run_migrations(chosen, lock_timeout=lock_timeout, services=services.url)
    finally:
        chosen.close()
