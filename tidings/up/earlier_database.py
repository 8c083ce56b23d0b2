"""The check of the database before `up` writes anything."""

import os
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from events import Database
from tidings.earlier_schema import refuse_earlier_schema
from tidings.up.data_dir import DataDir


def refuse_earlier_database(folder: Path) -> None:
    """Raise `EarlierSchema` if an earlier development version created the database of an `up`
    on the data directory `folder`."""
    database = Database(os.environ.get("DATABASE_URL") or DataDir(folder).database_url)
    if database.sqlite and not Path(database.url.database or "").is_file():
        return
    try:
        with database.reader.connect() as connection:
            refuse_earlier_schema(connection, database.url)
    except SQLAlchemyError:
        return  # the migration reports it, after the checks of the data directory and the ports
    finally:
        database.close()
