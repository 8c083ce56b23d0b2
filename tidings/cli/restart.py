"""`tidings restart`: restart everything under `tidings up` with the changed code."""

from pathlib import Path

import click

from tidings.cli.encoding import echo
from tidings.cli.paths import Folder
from tidings.up.data_dir import DataDir
from tidings.up.restart import restart as request_restart


@click.command()
@click.option(
    "--data-dir",
    type=Folder(),
    default=Path("var"),
    show_default=True,
    help="Data directory of the `tidings up` to restart.",
)
def restart(*, data_dir: Path) -> None:
    """Restart everything under `tidings up` with the changed code.

    The code is imported and the database migrated first; if that fails, nothing is stopped. Running
    tasks are finished, and a new queue gets its worker.
    """
    for line in request_restart(DataDir(data_dir)):
        echo(line)
