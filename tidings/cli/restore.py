"""`tidings restore`: replace the SQLite database by a backup, or follow up another restore."""

import re
from pathlib import Path

import click

from events.database import database
from tasks.commands import order_number
from tasks.restores import FIRST_NUMBER, Restore
from tidings.backup.follow_up import Request, follow_up_by_hand
from tidings.backup.restore import Restored
from tidings.backup.restore import restore as restore_backup
from tidings.cli.audit_options import who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import counted
from tidings.cli.paths import File

_WHY = "none given"
_NUMBER = re.compile(r"(?:ORD-)?([0-9]{1,15})", re.ASCII)


def _key(_: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    if not (match := _NUMBER.fullmatch(order_number(value))):
        raise click.BadParameter("write an order number, such as ORD-1042")
    return max(0, int(match[1]) - FIRST_NUMBER)


@click.command()
@click.argument("file", type=File(), required=False)
@click.option("--force", is_flag=True, help="Replace a database that exists; it is kept.")
@click.option(
    "--last-number",
    "last_key",
    metavar="NUMBER",
    callback=_key,
    help="The last order number that was given, if you know it, such as from a mail.",
)
@click.option(
    "--by-hand",
    is_flag=True,
    help="The database was restored with other tools: do only what follows.",
)
@why_option
def restore(
    file: Path | None, *, force: bool, last_key: int | None, by_hand: bool, why: str
) -> None:
    """Replace the SQLite database by the backup FILE; nothing may run.

    The backup is checked and migrated, and the database that it replaces is kept beside it. No
    order number is given twice. What the gateways did since the backup is found by key when its
    deliveries run again; `tidings doubts` lists the rest.

    With --by-hand and without FILE: after pg_restore or a point-in-time recovery of PostgreSQL.
    """
    if (file is None) != by_hand:
        raise click.UsageError("name the backup FILE, or say --by-hand after another restore")
    request = Request(who=who(), why=why or _WHY, last_key=last_key)
    if file is None:
        _tell(follow_up_by_hand(database(), request))
        return
    restored = restore_backup(database(), file, request, force=force)
    echo(f"restored {file}")
    if restored.replaced:
        echo(f"the replaced database is kept: {restored.replaced}")
    _tell_lost(restored)
    _tell(restored.record)


def _tell_lost(restored: Restored) -> None:
    if restored.lost_orders:
        orders = counted(restored.lost_orders, "order")
        verb = "is" if restored.lost_orders == 1 else "are"
        echo(f"{orders} of the replaced database {verb} not in the backup")


def _tell(record: Restore) -> None:
    if record.log_end:
        echo(f"the log ends at {record.log_end:%Y-%m-%d %H:%M:%S} UTC; the world is newer")
    echo(f"the next order is placed above {record.last_number}")
    echo("start everything; when its deliveries have run: tidings doubts")
