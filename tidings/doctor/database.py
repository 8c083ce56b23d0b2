"""The database: does it answer, does it keep what it accepts, is its schema the code's, is its clock ours."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from events import clock
from events.database import Database
from events.db_errors import describe_error
from tidings import migrations
from tidings.doctor.findings import Finding, notice, ok, one_of, problem

LEAST_SPACE = 500_000_000  # bytes
MOST_SKEW = 2.0  # seconds
OLDEST_POSTGRES = 14
_SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
_MIGRATE = "run `tidings migrate`"


def check(database: Database) -> Iterator[Finding]:
    """Everything about the database itself."""
    where = database.url.render_as_string()
    if database.sqlite and not Path(database.url.database or "").is_file():
        yield problem(
            "database",
            f"there is no file {database.url.database}",
            f"{_MIGRATE}, or set DATABASE_URL to the database you mean",
        )
        return
    try:
        with database.reader.connect() as connection:
            yield from (
                _sqlite(connection, Path(database.url.database or ""))
                if database.sqlite
                else _postgres(connection, where)
            )
            yield _migrations(connection)
        yield from one_of("writing", _writing(database), "orders can be saved")
    except SQLAlchemyError as error:
        yield problem(
            "database",
            f"{where} does not answer: {describe_error(error)}",
            "start it, or set DATABASE_URL to one that runs",
        )


def _writing(database: Database) -> Iterator[Finding]:
    why = None
    try:
        with database.writer.connect() as connection:
            if database.sqlite:
                connection.execute(text("PRAGMA user_version = 0"))  # a write, which is rolled back
            elif connection.scalar(text("SHOW transaction_read_only")) == "on":
                why = "every transaction is read-only; is it a standby, or has its server run out of disk?"
    except SQLAlchemyError as error:
        why = describe_error(error)
    if why:
        fix = "mend that, or set DATABASE_URL to the database that takes orders; what waits goes on by itself"
        yield problem("writing", f"no order can be saved: {why}", fix)


def _sqlite(connection: Connection, path: Path) -> Iterator[Finding]:
    journal = str(connection.scalar(text("PRAGMA journal_mode"))).lower()
    synchronous = connection.scalar(text("PRAGMA synchronous")) or 0
    if journal == "wal":
        yield ok("database", f"SQLite at {path}, in WAL mode")
    else:
        fix = "put the file on a local disk; WAL does not work on a network share"
        yield problem(
            "database",
            f"{path} is in journal mode {journal}, so readers and writers block each other",
            fix,
        )
    if synchronous < 2:
        told = f"synchronous={_SYNCHRONOUS[synchronous]}: a power cut can lose orders that were accepted"
        yield problem(
            "durability",
            told,
            "open the database by `events.Database`, which sets synchronous=FULL",
        )
    else:
        yield ok("durability", "an accepted order survives a power cut")
    free = shutil.disk_usage(path.parent).free
    if free < LEAST_SPACE:
        yield problem(
            "disk space",
            f"{free / 1e6:.0f} MB are left for {path}",
            "make room, or move the database; `tidings prune` takes old rows",
        )
    else:
        yield ok("disk space", f"{free / 1e9:.1f} GB are left")


def _postgres(connection: Connection, where: str) -> Iterator[Finding]:
    version = int(connection.scalar(text("SHOW server_version_num")) or 0) // 10_000
    if version < OLDEST_POSTGRES:
        yield problem(
            "database",
            f"PostgreSQL {version} gets no more mending",
            f"move to PostgreSQL {OLDEST_POSTGRES} or newer",
        )
    else:
        yield ok("database", f"PostgreSQL {version} at {where}")
    off = [
        name
        for name in ("fsync", "full_page_writes", "synchronous_commit")
        if connection.scalar(text(f"SHOW {name}")) == "off"
    ]
    fix = "set them to `on` in postgresql.conf and reload it"
    wrong = (
        [
            problem(
                "durability",
                f"{', '.join(off)} off: a power cut can lose orders that were accepted",
                fix,
            )
        ]
        if off
        else []
    )
    yield from one_of("durability", wrong, "an accepted order survives a power cut")
    yield _skew(connection)


def _skew(connection: Connection) -> Finding:
    before = clock.now()
    theirs: datetime | None = connection.scalar(select(func.clock_timestamp()))
    after = clock.now()
    assert theirs is not None
    skew = (
        (theirs - after).total_seconds()
        if theirs > after
        else min(0.0, (theirs - before).total_seconds())
    )
    if abs(skew) > MOST_SKEW:
        told = f"the database's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
        return problem(
            "clock",
            told,
            "keep every machine's clock by NTP: due times and heartbeats are compared between machines",
        )
    return ok("clock", "this machine and the database agree")


def _migrations(connection: Connection) -> Finding:
    try:
        pending = migrations.pending(connection)
    except (CommandError, RevisionError) as error:
        told = f"the schema is newer than this code: {error}"
        return notice("migrations", told, "deploy the newer code here too")
    if pending:
        return problem("migrations", f"{', '.join(pending)} not applied", _MIGRATE)
    return ok("migrations", "the schema is the code's")
