"""The database: its availability, durability, schema, disk space and clock."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import URL, Connection, func, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from events import clock
from events.database import Database
from events.db_errors import describe_error, unavailable_reason
from events.dialects.pooler import is_pooled
from events.settings import settings
from tidings import migrations
from tidings.doctor.clocks import FIX as FIX_CLOCK
from tidings.doctor.clocks import MAX_SKEW
from tidings.doctor.findings import Finding, notice, ok, or_ok, problem
from tidings.earlier_schema import EarlierSchema, refuse_earlier_schema
from tidings.migrations.encoding import FIX, encoding_of

MIN_DISK_SPACE = 500_000_000  # bytes
MIN_POSTGRES = 14
_SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
_DURABLE = "an accepted order survives a power cut"
_NOT_DURABLE = "a power cut can lose accepted orders"
_MIGRATE = "run `tidings migrate`"


def check(database: Database) -> Iterator[Finding]:
    """Examine the database itself."""
    url, path = database.url.render_as_string(), Path(database.url.database or "")
    if database.sqlite and not path.is_file():
        fix = f"{_MIGRATE}, or correct DATABASE_URL"
        yield problem("database", f"there is no file {path}", fix)
        return
    try:
        with database.reader.connect() as connection:
            if database.sqlite:
                yield from _sqlite(connection, path)
            else:
                yield from _postgres(connection, url)
            yield _migrations(connection, database.url)
        yield from or_ok("writing", _writing(database), "orders can be saved")
    except SQLAlchemyError as error:
        _, _, mend = (unavailable_reason(error) or "").partition(": ")
        yield problem(
            "database",
            f"{url} does not answer: {describe_error(error)}",
            mend or "start it, or wait until it has started, or correct DATABASE_URL",
        )


def _writing(database: Database) -> Iterator[Finding]:
    reason = None
    try:
        with database.writer.connect() as connection:
            if database.sqlite:
                # A write without an effect; it is rolled back.
                connection.execute(text("PRAGMA user_version = 0"))
            elif connection.scalar(text("SHOW transaction_read_only")) == "on":
                reason = "all transactions are read-only; is it a standby, or is its disk full?"
    except SQLAlchemyError as error:
        reason = describe_error(error)
    if reason:
        yield problem(
            "writing",
            f"no order can be saved: {reason}",
            "correct the cause, or set DATABASE_URL to the primary; the backlog is then handled",
        )


def _sqlite(connection: Connection, path: Path) -> Iterator[Finding]:
    journal = str(connection.scalar(text("PRAGMA journal_mode"))).lower()
    if journal == "wal":
        yield ok("database", f"SQLite at {path}, in WAL mode")
    else:
        yield problem(
            "database",
            f"{path} is in journal mode {journal}, in which readers and writers block each other",
            "move the file to a local disk; WAL does not work on a network share",
        )
    synchronous = connection.scalar(text("PRAGMA synchronous")) or 0
    if synchronous < 2:
        yield problem(
            "durability",
            f"synchronous={_SYNCHRONOUS[synchronous]}: {_NOT_DURABLE}",
            "open the database with `events.Database`, which sets synchronous=FULL",
        )
    else:
        yield ok("durability", _DURABLE)
    yield _disk_space(path)


def _disk_space(path: Path) -> Finding:
    free = shutil.disk_usage(path.parent).free
    if free < MIN_DISK_SPACE:
        return problem(
            "disk space",
            f"{free / 1e6:.0f} MB are free for {path}",
            "free disk space, move the database, or delete old rows with `tidings prune`",
        )
    return ok("disk space", f"{free / 1e9:.1f} GB are free")


def _postgres(connection: Connection, url: str) -> Iterator[Finding]:
    version = int(connection.scalar(text("SHOW server_version_num")) or 0) // 10_000
    if version < MIN_POSTGRES:
        yield problem(
            "database",
            f"PostgreSQL {version} receives no security updates",
            f"upgrade to PostgreSQL {MIN_POSTGRES} or newer",
        )
    else:
        yield ok("database", f"PostgreSQL {version} at {url}{_by_default(connection, url)}")
    yield _encoding(connection)
    yield from _pooler(connection)
    yield _durability(connection)
    yield _skew(connection)


def _by_default(connection: Connection, url: str) -> str:
    """Tell which server and database it is where the address leaves that to libpq."""
    found = make_url(url)
    if (found.host or "host" in found.query) and found.database:
        return ""
    info: Any = getattr(connection.connection.dbapi_connection, "info", None)  # psycopg's
    return f", which is {info.dbname} at {info.host or 'the socket of this machine'}:{info.port}"


def _encoding(connection: Connection) -> Finding:
    encoding = encoding_of(connection)
    if encoding == "UTF8":
        return ok("encoding", "the database stores every name")
    return problem("encoding", f"the database has {encoding}: orders with other names fail", FIX)


def _pooler(connection: Connection) -> Iterator[Finding]:
    if is_pooled(connection.connection.dbapi_connection):
        yield notice(
            "pooler",
            "a connection pooler stands between; each transaction makes its settings again",
            ""
            if settings().database_direct_url
            else "set DATABASE_DIRECT_URL to the address of the server itself, for the relay",
        )


def _durability(connection: Connection) -> Finding:
    names = ("fsync", "full_page_writes", "synchronous_commit")
    off = [name for name in names if connection.scalar(text(f"SHOW {name}")) == "off"]
    if off:
        return problem(
            "durability",
            f"{', '.join(off)} off: {_NOT_DURABLE}",
            "set them to `on` in postgresql.conf and reload it",
        )
    return ok("durability", _DURABLE)


def _skew(connection: Connection) -> Finding:
    before = clock.machine_now()
    server: datetime | None = connection.scalar(select(func.clock_timestamp()))
    after = clock.machine_now()
    assert server is not None
    if server > after:
        skew = (server - after).total_seconds()
    else:
        skew = min(0.0, (server - before).total_seconds())
    if abs(skew) > MAX_SKEW:
        direction = "ahead of" if skew > 0 else "behind"
        return problem(
            "clock",
            f"the clock of the database is {abs(skew):.0f} s {direction} this machine's",
            FIX_CLOCK,
        )
    return ok("clock", "no clock skew between this machine and the database")


def _migrations(connection: Connection, url: URL) -> Finding:
    try:
        refuse_earlier_schema(connection, url)
        pending = migrations.pending(connection)
    except EarlierSchema as error:
        return problem("migrations", str(error), "name another database, or move this one away")
    except (CommandError, RevisionError) as error:
        return notice(
            "migrations", f"the schema is newer than this code: {error}", "deploy the newer code"
        )
    if pending:
        return problem("migrations", f"{', '.join(pending)} are not applied", _MIGRATE)
    return ok("migrations", "all migrations are applied")
