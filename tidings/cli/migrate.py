"""`tidings migrate`: bring the database up to date."""

import click

from events.database import database
from tidings.migrations.run import migrate as bring_up_to_date


@click.command()
def migrate() -> None:
    """Bring the database up to date: tables, first products, subscriptions.

    Run it before the first start and after each update; run twice it does nothing.
    """
    done = bring_up_to_date(database())
    for revision in done.applied:
        click.echo(f"applied migration {revision}")
    for table in done.created:
        click.echo(f"made table {table}, which no migration knows")
    if done.opened:
        click.echo("put the first products into the catalogue and onto the shelf")
    click.echo(f"the database is up to date; {done.subscriptions} subscriptions are registered")
