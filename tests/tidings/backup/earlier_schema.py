"""Databases with the schema of an earlier version of Tidings."""

import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command

from events import Database
from tidings import migrations


def copy_to_schema(revision: str, file: Path, *, source: Path) -> None:
    """Make a database as it was at this revision, with the rows of `source`."""
    database = Database(f"sqlite:///{file}")
    with database.writer.begin() as connection:
        command.upgrade(migrations._config(connection), revision)
    database.close()
    with closing(sqlite3.connect(file)) as earlier:
        earlier.execute("ATTACH ? AS source", (str(source),))
        for table in _tables(earlier) - {"alembic_version"}:
            columns = ", ".join(_columns(earlier, table))
            earlier.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM source.{table}")
        earlier.commit()


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows if not name.startswith("sqlite_")}


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
