"""`tidings migrate`: from whatever there is to a database that is ready for orders, in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, exists, inspect, select, text
from sqlalchemy.orm import Session

from events import Base, Database, TidingsError, subscriptions
from events.admin import subscriptions as admin
from tasks import inventory, products
from tidings import migrations

_LOCK = (
    0x71D1465  # the key of PostgreSQL's advisory lock; any number will do that nobody else takes
)


class BrokenReferences(TidingsError):
    """A migration would leave rows that point nowhere; it was undone."""


@dataclass(frozen=True)
class Migrated:
    """What `migrate` did: migrations applied, tables made for modules without one, whether the shop was opened."""

    applied: list[str]
    created: list[str]
    opened: bool
    subscriptions: int


def migrate(database: Database) -> Migrated:
    """Bring the schema to the newest migration, make the tables that none knows, open the shop, register what listens.

    Two at a time take turns, and the second finds nothing to do.
    """
    migrations.load_tables()
    with _alone(database) as connection:
        applied = migrations.pending(connection)
        migrations.upgrade(connection)
        created = _create_dropped_in(connection)
        with Session(connection) as session:
            opened = not session.scalar(select(exists(select(products.Product.sku))))
            if opened:
                products.seed(session)
                inventory.add_opening_stock(session, products.OPENING_STOCK)
            listening = subscriptions.registered().values()
            admin.register(session, listening)
    return Migrated(applied, created, opened, len(listening))


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """A transaction on the writer that no other `migrate` runs beside: SQLite's write lock, or an advisory lock."""
    with database.writer.connect() as connection:
        if not database.sqlite:
            with connection.begin():
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                yield connection
            return
        with _unchecked(connection), connection.begin():
            yield connection
            if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                raise BrokenReferences(
                    f"rows of table {broken[0]} would point nowhere; the migration was undone"
                )


@contextmanager
def _unchecked(connection: Connection) -> Iterator[None]:
    """To change a table SQLite needs it copied and dropped, which references to it forbid; the switch works outside a transaction only."""
    driver = connection.connection.cursor()
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")
        driver.close()


def _create_dropped_in(connection: Connection) -> list[str]:
    """Make the tables of modules that somebody dropped into `tasks` and wrote no migration for."""
    known = set(inspect(connection).get_table_names())
    missing = [table for table in Base.metadata.sorted_tables if table.name not in known]
    Base.metadata.create_all(connection, tables=missing)
    return [table.name for table in missing]
