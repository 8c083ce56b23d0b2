"""The work of `tidings migrate`: tables, first products and subscriptions in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import URL, Connection, exists, inspect, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from events import Base, Database, TidingsError, subscriptions
from events.admin import subscriptions as admin
from tasks import inventory, products
from tidings import migrations
from tidings.earlier_schema import refuse_earlier_schema
from tidings.migrations.encoding import refuse_other_encodings
from tidings.migrations.services_role import grant_to_services

LOCK_TIMEOUT = 30.0  # seconds
_LOCK = 0x71D1465  # the key of PostgreSQL's advisory lock; any number that no one else uses
_LOCK_NOT_AVAILABLE = "55P03"


class BrokenReferences(TidingsError):
    """A migration would leave dangling foreign keys; it was rolled back."""


class LockTimedOut(TidingsError):
    """Another transaction held a lock for too long; nothing was changed."""


class UnknownRevision(TidingsError):
    """The database has a revision that this code does not contain."""


@dataclass(frozen=True)
class Migrated:
    """The result of `migrate`.

    `applied` are revisions, `created` the tables of modules without a migration, `seeded` is
    true if the first products were added, and `role` is that of the services if it was made.
    """

    applied: list[str]
    created: list[str]
    seeded: bool
    subscriptions: int
    role: str | None = None


def migrate(
    database: Database, *, lock_timeout: float = LOCK_TIMEOUT, services: URL | None = None
) -> Migrated:
    """Apply pending migrations, create the tables of modules without one, add the first products
    to an empty shop, and register the subscriptions.

    If `services` is given, its role may change the rows of all tables from then on. Concurrent
    calls run one after the other; the second has nothing to do. On PostgreSQL no lock is waited for
    longer than `lock_timeout` seconds: behind a waiting migration all others wait too. Raises
    `LockTimedOut` and `NotPermitted`.
    """
    migrations.load_tables()
    with _limited(lock_timeout), _exclusive_transaction(database, lock_timeout) as connection:
        refuse_other_encodings(connection)
        refuse_earlier_schema(connection, database.url)
        applied = _upgrade(connection, database.url)
        created = _create_unmigrated_tables(connection)
        with Session(connection) as session:
            seeded = not session.scalar(select(exists(select(products.Product.sku))))
            if seeded:
                products.seed(session)
                inventory.add_opening_stock(session, products.OPENING_STOCK)
            registered = subscriptions.registered().values()
            admin.register(session, registered)
        role = grant_to_services(connection, services) if services else None
    return Migrated(applied, created, seeded, len(registered), role)


def _upgrade(connection: Connection, url: URL) -> list[str]:
    try:
        pending = migrations.pending(connection)
    except (CommandError, RevisionError) as error:
        raise UnknownRevision(
            f"the database {url.render_as_string()} was migrated by a newer version of Tidings "
            f"({error}); nothing was changed. Deploy that version here, or name another "
            "DATABASE_URL"
        ) from error
    if pending:
        migrations.upgrade(connection)
    return pending


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        raise LockTimedOut(
            f"another transaction held a lock for longer than {seconds:g} s; nothing was changed. "
            "End it (the view pg_stat_activity shows it), or wait longer with --lock-timeout"
        ) from error


@contextmanager
def _exclusive_transaction(
    database: Database, lock_timeout: float = LOCK_TIMEOUT
) -> Iterator[Connection]:
    """Open a transaction that excludes other `migrate`s by SQLite's or an advisory lock."""
    with database.writer.connect() as connection:
        if not database.sqlite:
            with connection.begin():
                limit = f"{max(1, int(lock_timeout * 1000))}ms"  # 0 would be no limit
                connection.execute(text(f"SET LOCAL lock_timeout = '{limit}'"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                yield connection
            return
        with _foreign_keys_off(connection), connection.begin():
            yield connection
            if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                raise BrokenReferences(
                    f"rows of table {broken[0]} would have dangling foreign keys; "
                    "the migration was rolled back"
                )


@contextmanager
def _foreign_keys_off(connection: Connection) -> Iterator[None]:
    """Switch foreign keys off while SQLite copies and drops tables to alter them.

    SQLite ignores the switch inside a transaction.
    """
    driver = connection.connection.cursor()
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")
        driver.close()


def _create_unmigrated_tables(connection: Connection) -> list[str]:
    """Create the tables of modules that were dropped into `tasks` without a migration."""
    known = set(inspect(connection).get_table_names())
    missing = [table for table in Base.metadata.sorted_tables if table.name not in known]
    Base.metadata.create_all(connection, tables=missing)
    return [table.name for table in missing]
