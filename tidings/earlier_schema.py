"""The refusal of databases that an earlier development version created.

Until the first release the first migrations are edited in place. A database of an earlier version
therefore has a known revision, but tables and columns under former names.
Alembic is not asked: `tidings up` would keep its 7 MB for the sake of one row.
"""

from sqlalchemy import URL, Connection, column, inspect, select, table

from events import TidingsError

# Names that were changed in the first migrations: every database has had them since.
_TABLES = ("deliveries", "invalid_messages", "prunings")
_REVISIONS = table("alembic_version", column("version_num"))
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
    inspector = inspect(connection)
    tables = set(inspector.get_table_names())
    if _REVISIONS.name not in tables or connection.execute(select(_REVISIONS)).first() is None:
        return None
    for name in _TABLES:
        if name not in tables:
            return name
    for name in tables & _COLUMNS.keys():
        existing = {each["name"] for each in inspector.get_columns(name)}
        if missing := sorted(set(_COLUMNS[name]) - existing):
            return f"{name}.{missing[0]}"
    return None
