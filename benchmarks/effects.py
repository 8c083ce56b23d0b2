"""The effect of each message for every contender: one row, written with SQLAlchemy alone.

With INBOX=1 a contender also writes the id of its message in the same transaction, and does nothing
for an id that is there already: the usual remedy, written by hand, for duplicate messages.
"""

import os
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite

WORK = float(os.environ.get("WORK", "0"))  # seconds that one effect takes
INBOX = os.environ.get("INBOX") == "1"

metadata = MetaData()
effects = Table(
    "effects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("at", Float, nullable=False),
)
inbox = Table("inbox", metadata, Column("message_id", String(100), primary_key=True))


def connect(url: str) -> Engine:
    """Return an engine with the durability that Tidings itself asks for."""
    engine = create_engine(url)
    if make_url(url).get_backend_name() == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


@cache
def _engine() -> Engine:
    return connect(os.environ["DATABASE_URL"])


def effect(number: int) -> Any:
    """Do the work, and return the statement that writes its effect."""
    if WORK:
        time.sleep(WORK)
    return insert(effects).values(number=number, at=time.time())


def write_all(connection: Connection, numbers: Sequence[int]) -> None:
    """Write the effects of a batch in the caller's transaction."""
    time.sleep(WORK * len(numbers))
    rows = [{"number": each, "at": time.time()} for each in numbers]
    connection.execute(insert(effects), rows)


def write(number: int, message_id: str) -> None:
    """Write one effect in a transaction of its own, with INBOX once for each message."""
    with _engine().begin() as connection:
        if not INBOX or _is_new(connection, message_id):
            connection.execute(effect(number))


def _is_new(connection: Connection, message_id: str) -> bool:
    insert_into = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert_into(inbox).values(message_id=message_id).on_conflict_do_nothing()
    return connection.scalar(statement.returning(inbox.c.message_id)) is not None
