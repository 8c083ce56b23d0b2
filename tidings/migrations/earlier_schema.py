"""The refusal of databases that an earlier development version created.

Until the first release the first migrations are edited in place. A database of an earlier version
therefore has a known revision, but tables and columns under former names.
"""

from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection, inspect

from events import TidingsError

# Names that were changed in the first migrations: every database has had them since.
_TABLES = ("deliveries", "invalid_messages", "prunings")
_COLUMNS = {"deliveries": ("lost_count", "unfinished_starts"), "sandbox_charges": ("attempts",)}


class EarlierSchema(TidingsError):
    """The database was created by an earlier development version."""


def refuse_earlier_schema(connection: Connection, url: URL) -> None:
    """Raise `EarlierSchema` if a migrated database lacks a name of the first migrations."""
    if missing := _missing_name(connection):
        raise EarlierSchema(
            f"the database {url.render_as_string()} was created by an earlier development version "
            f"of Tidings, whose tables had other names ({missing} is missing); nothing was "
            "changed. Name another database with --data-dir or DATABASE_URL, or move this one away"
        )


def _missing_name(connection: Connection) -> str | None:
    if MigrationContext.configure(connection).get_current_revision() is None:
        return None
    inspector = inspect(connection)
    tables = set(inspector.get_table_names())
    for table in _TABLES:
        if table not in tables:
            return table
    for table in tables & _COLUMNS.keys():
        existing = {column["name"] for column in inspector.get_columns(table)}
        if missing := sorted(set(_COLUMNS[table]) - existing):
            return f"{table}.{missing[0]}"
    return None
