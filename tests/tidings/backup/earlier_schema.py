"""The tables that an earlier schema lacks, whatever migrations follow it."""

from pathlib import Path

from alembic import command
from sqlalchemy import inspect

from events import Database
from tidings import migrations


def tables_since(revision: str, file: Path) -> set[str]:
    """Return the tables that the migrations after this one make."""
    database, tables = Database(f"sqlite:///{file}"), []
    for number in (revision, "head"):
        with database.writer.begin() as connection:
            command.upgrade(migrations._config(connection), number)
        tables.append(set(inspect(database.reader).get_table_names()))
    database.close()
    return tables[1] - tables[0]
