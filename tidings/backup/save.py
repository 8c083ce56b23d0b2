"""The copy of a running SQLite database into one file, by SQLite's online backup."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from events import Database
from tasks import restores
from tasks.restores import number_of
from tidings.backup.verify import BackupError, open_read_only, readable, verify

_BESIDE = ("", "-wal", "-shm", "-journal", "-gate", "-turn")


@dataclass(frozen=True)
class Saved:
    """A backup: its size in bytes, its last order number, and the time of its newest event."""

    size: int
    last_number: str | None
    log_end: datetime | None


def require_sqlite(database: Database) -> Path:
    """Return the file of the database. Raises `BackupError` for PostgreSQL."""
    if not database.sqlite:
        raise BackupError(
            "DATABASE_URL names PostgreSQL, which has tools of its own; use pg_dump, or base "
            'backups with point-in-time recovery: see "Back up PostgreSQL" in docs/how-to.md'
        )
    return Path(database.url.database or "").absolute()


def save(database: Database, target: Path, *, force: bool = False) -> Saved:
    """Copy the database to `target`, which only its owner can read.

    It reads one snapshot, keeps no writer waiting, and checks the copy before it has its name.
    Raises `BackupError`; an existing file is replaced only with `force`.
    """
    source, target = require_sqlite(database), target.absolute()
    _check_target(source, target, force=force)
    with draft_beside(target) as draft:
        copy(source, draft)
        verify(draft, of=source)
        saved = _describe(draft)
        publish(draft, target, force=force)
    return saved


def _check_target(source: Path, target: Path, *, force: bool) -> None:
    with _writable(target):
        _check_kind(source, target, force=force)


def _check_kind(source: Path, target: Path, *, force: bool) -> None:
    real, given = os.path.realpath(source), os.path.realpath(target)
    if given in {f"{real}{each}" for each in _BESIDE}:
        raise BackupError(f"{target} belongs to the database itself; name another file")
    if target.is_dir() or (os.path.lexists(target) and not target.is_file()):
        raise BackupError(f"{target} is no file; name another one")
    if target.is_symlink():
        raise BackupError(f"{target} is a symbolic link; name the file that it leads to")
    if target.exists() and not force:
        raise _exists(target)


def _exists(target: Path) -> BackupError:
    return BackupError(f"{target} exists; name another file, or replace it with --force")


@contextmanager
def _writable(target: Path) -> Iterator[None]:
    """Raise `BackupError` for an error of the file system."""
    try:
        yield
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror}") from error


@contextmanager
def draft_beside(target: Path) -> Iterator[Path]:
    """Make an empty private file in the folder of `target`; it is deleted unless it was renamed.

    Raises `BackupError` for an error of the file system.
    """
    draft = None
    try:
        number, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        os.close(number)
        draft = Path(name)
        yield draft
    except OSError as error:
        raise BackupError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        for end in _BESIDE:
            if draft is not None:
                Path(f"{draft}{end}").unlink(missing_ok=True)


def copy(source: Path, draft: Path) -> None:
    """Copy an SQLite database, which may be in use, into one file without a `-wal`."""
    with closing(open_read_only(source)) as connection, readable(source):
        # The online backup itself would wait without end for a file that is locked.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        with closing(sqlite3.connect(draft, isolation_level=None)) as into:
            connection.backup(into)  # in one step, so that no writer makes it begin again
            into.execute("PRAGMA journal_mode=DELETE")


def _describe(draft: Path) -> Saved:
    with Session(create_engine(f"sqlite:///{draft}")) as session:
        key, end = restores.last_order_key(session), restores.log_end(session)
        session.get_bind().dispose()  # type: ignore[union-attr]  # it is an engine
    return Saved(draft.stat().st_size, number_of(key) if key else None, end)


def publish(draft: Path, target: Path, *, force: bool) -> None:
    """Give the draft its name when it is on the disk."""
    _sync(draft)
    if not force:
        try:
            target.touch(mode=0o600, exist_ok=False)  # of two at the same time, one is refused
        except FileExistsError:
            raise _exists(target) from None
    draft.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
