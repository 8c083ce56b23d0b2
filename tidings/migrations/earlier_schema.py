"""The refusal of databases that an earlier development version created.

Until the first release the first migrations are edited in place. A database of an earlier version
therefore has a known revision, but tables and columns under former names.
"""

from sqlalchemy import URL, Connection, Inspector, inspect

from events import Base, TidingsError
from events import tables as bus

_FORMER_TABLES = {"strays": "invalid_messages"}
_FORMER_COLUMNS = {"deliveries": ("losses", "starts"), "sandbox_charges": ("tries",)}
_BUS_TABLES = sorted(
    mapper.class_.__tablename__
    for mapper in Base.registry.mappers
    if mapper.class_.__module__ == bus.__name__
)


class EarlierSchema(TidingsError):
    """The database was created by an earlier development version."""


def refuse_earlier_schema(connection: Connection, url: URL) -> None:
    """Raise `EarlierSchema` if the database has tables or columns under their former names."""
    _refuse(url, _former_name(inspect(connection)))


def refuse_incomplete_schema(connection: Connection, url: URL) -> None:
    """Raise `EarlierSchema` if a table of the bus lacks a column although no migration is pending.

    Tables of other modules are not compared: a module without a migration may add a column.
    """
    _refuse(url, _missing_name(inspect(connection)))


def _refuse(url: URL, difference: str | None) -> None:
    if difference:
        raise EarlierSchema(
            f"the database {url.render_as_string()} was created by an earlier development version "
            f"of Tidings, whose tables had other names ({difference}); nothing was changed. "
            "Name another database with --data-dir or DATABASE_URL, or move this one away"
        )


def _former_name(inspector: Inspector) -> str | None:
    existing = set(inspector.get_table_names())
    for former, present in _FORMER_TABLES.items():
        if former in existing:
            return f"{former} is now {present}"
    for table, formers in _FORMER_COLUMNS.items():
        if table in existing:
            columns = {column["name"] for column in inspector.get_columns(table)}
            known = set(Base.metadata.tables[table].columns.keys())
            if found := sorted(columns.intersection(formers) - known):
                return f"{table}.{found[0]} has another name now"
    return None


def _missing_name(inspector: Inspector) -> str | None:
    existing = set(inspector.get_table_names())
    for table in _BUS_TABLES:
        if table not in existing:
            return f"{table} is missing"
        columns = {column["name"] for column in inspector.get_columns(table)}
        if missing := sorted(set(Base.metadata.tables[table].columns.keys()) - columns):
            return f"{table}.{missing[0]} is missing"
    return None
