"""`tidings backup`: copy the running SQLite database to a file."""

from pathlib import Path

import click

from events.database import database
from tidings.backup.save import save
from tidings.cli.encoding import echo
from tidings.cli.paths import File


@click.command()
@click.argument("file", type=File())
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def backup(file: Path, *, force: bool) -> None:
    """Copy the SQLite database to FILE while everything runs, and check the copy.

    The copy holds all data of customers; only its owner can read it. PostgreSQL has tools of its
    own: see docs/how-to.md.
    """
    saved = save(database(), file, force=force)
    orders = f"orders up to {saved.last_number}" if saved.last_number else "no order yet"
    newest = f", newest event {saved.log_end:%Y-%m-%d %H:%M:%S} UTC" if saved.log_end else ""
    echo(f"saved {file} ({saved.size / 1e6:.1f} MB): {orders}{newest}")
