"""The check of an SQLite file: whole, of this application, and of a schema that this code knows."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import NullPool, create_engine, inspect

from events import TidingsError
from tidings import migrations
from tidings.earlier_schema import EarlierSchema, refuse_earlier_schema

_TABLES = frozenset({"alembic_version", "events", "deliveries", "subscriptions", "orders"})


FULL = "the disk is full; make room, then run this command again"


class BackupError(TidingsError):
    """A backup or restore that was refused; nothing was changed."""


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open an SQLite file that exists. Raises `BackupError`."""
    if not path.is_file():
        raise BackupError(f"there is no file {path}")
    try:
        return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise BackupError(f"{path} cannot be opened: {error}") from error


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise `BackupError` for what SQLite cannot read of a file, and for a disk that is full."""
    try:
        yield
    except sqlite3.Error as error:
        if is_full(error):
            raise BackupError(FULL) from error
        raise BackupError(f"{path} cannot be read: {error}") from error


def is_full(error: Exception) -> bool:
    """Tell whether the disk of an SQLite file has no room left."""
    code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None) or 0
    return bool(code & 0xFF == sqlite3.SQLITE_FULL)


def verify(path: Path, *, of: Path) -> None:
    """Raise `BackupError` unless the copy `path` of the file `of` is whole and can be used."""
    with closing(open_read_only(path)) as connection, readable(of):
        for pragma in ("integrity_check(1)", "foreign_key_check"):
            if (row := connection.execute(f"PRAGMA {pragma}").fetchone()) not in (None, ("ok",)):
                detail = " ".join(str(row[0]).split())[:200]
                raise BackupError(f"{of} is damaged: {detail}; use an earlier backup")
    _verify_schema(path, of)


def _verify_schema(path: Path, of: Path) -> None:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        if not set(inspect(connection).get_table_names()) >= _TABLES:
            raise BackupError(f"{of} is no database of Tidings")
        try:
            refuse_earlier_schema(connection, engine.url.set(database=str(of)))
            pending = migrations.pending(connection)
        except EarlierSchema as error:
            raise BackupError(str(error)) from error
        except (CommandError, RevisionError) as error:
            raise BackupError(
                f"{of} was migrated by a newer version of Tidings ({error}); use that version"
            ) from error
        if pending:
            return
        if missing := [each[1] for each in migrations.differences(connection) if _lacks(each)]:
            raise BackupError(f"{of} is damaged: it has no table {missing[0].name}")


def _lacks(difference: tuple[object, ...]) -> bool:
    return difference[0] == "add_table"
