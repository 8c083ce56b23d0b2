"""The tables of the bus in the database of an application, without the shop's migrations."""

from collections.abc import Iterable
from typing import Any, Literal

from sqlalchemy import Connection, TypeDecorator, inspect, text

from events import alert_tables, count_tables, edited_events, outgoing_tasks
from events.admin import saved_views as views
from events.admin import triage
from events.admin.subscriptions import register
from events.database import Database
from events.errors import TidingsError
from events.orm import Base
from events.replays import tables as replay_tables
from events.subscriptions import Subscription

_LOCK = 0x71D1465  # the key of PostgreSQL's advisory lock, that of `tidings migrate` too
# Pages count from indexes alone, which PostgreSQL can do only where it has vacuumed; 20 % of
# changes, its default, hides the open deliveries behind a million handled ones.
_VACUUMED_EARLY = ("events", "deliveries")
_VACUUM_EARLY = (
    "SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02, "
    "autovacuum_analyze_scale_factor = 0.02)"
)


# The relay uses them in every application; the import adds them to the metadata.
TABLES_OF_THE_BUS = (
    alert_tables.Alert,
    alert_tables.AlertLook,
    count_tables.CountOfMinute,
    count_tables.CountTotal,
    edited_events.EditedEvent,
    outgoing_tasks.OutgoingTask,
    replay_tables.Replay,
    replay_tables.ReplayedDelivery,
    triage.FixCanary,
    triage.GroupTriage,
    views.SavedView,
)


class OutdatedTables(TidingsError):
    """A table of the bus lacks columns that this version of the bus needs."""


def prepare(database: Database, subscriptions: Iterable[Subscription]) -> list[str]:
    """Create the missing tables on `events.Base`, and register the subscriptions.

    Return the names of the created tables. Concurrent calls run one after the other. Raises
    `OutdatedTables`; nothing is changed then.
    """
    with database.transaction() as session:
        if not database.sqlite:
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        connection = session.connection()
        _refuse_outdated(connection)
        created = _create_missing(connection)
        register(session, subscriptions)
    return created


def render_item(kind: str, item: Any, context: Any) -> str | Literal[False]:
    """Render a type of ours in Alembic's migrations as its storage type.

    A migration must not change with the code.
    """
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


def _create_missing(connection: Connection) -> list[str]:
    known = set(inspect(connection).get_table_names())
    missing = [table for table in Base.metadata.sorted_tables if table.name not in known]
    Base.metadata.create_all(connection, tables=missing)
    if connection.dialect.name == "postgresql":
        for table in {each.name for each in missing} & set(_VACUUMED_EARLY):
            connection.execute(text(f"ALTER TABLE {table} {_VACUUM_EARLY}"))
    return [table.name for table in missing]


def _refuse_outdated(connection: Connection) -> None:
    inspector = inspect(connection)
    for name in set(inspector.get_table_names()) & Base.metadata.tables.keys():
        there = {column["name"] for column in inspector.get_columns(name)}
        if missing := sorted(set(Base.metadata.tables[name].columns.keys()) - there):
            raise OutdatedTables(
                f"table {name} has no column {missing[0]}: it is of an earlier version, or of "
                "another application; nothing was changed. Add the columns in a migration of your "
                "own (alembic revision --autogenerate with events.Base.metadata among its "
                "target_metadata)"
            )
