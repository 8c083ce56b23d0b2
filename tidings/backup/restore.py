"""The restore of a backup in one transaction, and what has to follow it.

The world is not restored: order numbers were given, cards charged, parcels sent. So the numbers go
on above those, and what the sandbox of the gateways did stays done.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from events import Database
from events.db_errors import describe_error
from tasks.restores import Restore
from tidings.backup.exclusive import exclusive, refuse_users
from tidings.backup.follow_up import Request, follow_up
from tidings.backup.save import copy, draft_beside, require_sqlite
from tidings.backup.verify import FULL, BackupError, is_full, readable, verify
from tidings.backup.world import keep_world
from tidings.migrations.run import migrate


@dataclass(frozen=True)
class Restored:
    """The record of the restore, and the file that keeps the replaced database, if there was one.

    `lost_orders` are those of the replaced database that the backup does not have; unknown if the
    replaced database cannot be read.
    """

    record: Restore
    replaced: Path | None
    lost_orders: int | None


@dataclass(frozen=True)
class _Known:
    """The highest order key of the replaced database, and the number of orders that are lost."""

    last_key: int
    lost_orders: int


def restore(database: Database, backup: Path, request: Request, *, force: bool = False) -> Restored:
    """Replace the database by a backup that was checked; the replaced one is kept beside it.

    Raises `BackupError` while a process uses the database, for a backup that cannot be used, and
    for a database that exists, unless `force` is given.
    """
    target, backup = require_sqlite(database), backup.absolute()
    _check_target(target, backup, force=force)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    database.close()
    with draft_beside(target) as draft:
        copy(backup, draft)
        verify(draft, of=backup)
        _migrate(draft, of=backup)
        replaced = _move_unreadable_away(target)
        with exclusive(target) as live, readable(target), _kept(live, target) as kept:
            restored = _prepare(draft, replaced or kept, request)
            with closing(sqlite3.connect(draft)) as source:
                source.backup(live)
    return restored


def _check_target(target: Path, backup: Path, *, force: bool) -> None:
    if target.exists() and backup.exists() and target.samefile(backup):
        raise BackupError(f"{backup} is the database itself; name a backup")
    if target.exists() and target.stat().st_size and not force:
        raise BackupError(f"{target} exists; --force replaces it, and keeps it under another name")


def _move_unreadable_away(target: Path) -> Path | None:
    """Rename a file that SQLite cannot read, with those beside it; return its new name."""
    try:
        with exclusive(target):
            return None
    except sqlite3.OperationalError as error:
        raise BackupError(f"{target} cannot be replaced: {error}") from error
    except sqlite3.DatabaseError:
        refuse_users(target)
        aside = _name_for_replaced(target)
        for end in ("", "-wal", "-shm"):
            if Path(f"{target}{end}").exists():
                Path(f"{target}{end}").rename(f"{aside}{end}")
        return aside


@contextmanager
def _kept(live: sqlite3.Connection, target: Path) -> Iterator[Path | None]:
    """Copy the database that is replaced, if it holds anything, to a file of its own.

    The copy is deleted if the block fails: the database is as it was, and the disk may be full.
    """
    if not live.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        yield None
        return
    kept = _name_for_replaced(target)
    kept.touch(mode=0o600, exist_ok=False)
    try:
        with closing(sqlite3.connect(kept)) as into:
            live.backup(into)
        yield kept
    except BaseException:
        kept.unlink()
        raise


def _name_for_replaced(target: Path) -> Path:
    return Path(f"{target}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")


def _prepare(draft: Path, replaced: Path | None, request: Request) -> Restored:
    """Do in the copy of the backup what follows a restore."""
    chosen = Database(URL.create("sqlite", database=str(draft)).render_as_string())
    try:
        known = _take_over(draft, replaced) if replaced else None
        with chosen.transaction() as session:
            last_key = known.last_key if known else None
            record = follow_up(session, request, known_key=last_key)
    finally:
        chosen.close()
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    return Restored(record, replaced, known.lost_orders if known else None)


def _migrate(draft: Path, *, of: Path) -> None:
    chosen = Database(URL.create("sqlite", database=str(draft)).render_as_string())
    try:
        migrate(chosen)
    except DBAPIError as error:
        if is_full(error):
            raise BackupError(FULL) from error
        raise BackupError(
            f"{of} is damaged: its tables are not those of the version that it names "
            f"({describe_error(error)}); use an earlier backup"
        ) from error
    finally:
        chosen.close()


def _take_over(draft: Path, replaced: Path) -> _Known | None:
    """Keep what the replaced database knows of the world; nothing if it cannot be read."""
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            keep_world(connection, replaced)
            return _ask(connection, replaced)
    except sqlite3.DatabaseError as error:
        if is_full(error):
            raise
        return None


def _ask(connection: sqlite3.Connection, replaced: Path) -> _Known:
    connection.execute("ATTACH ? AS replaced", (str(replaced),))
    tables = {row[0] for row in connection.execute("SELECT name FROM replaced.sqlite_master")}
    keys = [connection.execute("SELECT max(key) FROM replaced.orders").fetchone()[0]]
    if "restores" in tables:
        keys += connection.execute("SELECT max(last_key) FROM replaced.restores").fetchone()
    lost = "SELECT count(*) FROM replaced.orders WHERE id NOT IN (SELECT id FROM main.orders)"
    return _Known(max(key or 0 for key in keys), connection.execute(lost).fetchone()[0])
