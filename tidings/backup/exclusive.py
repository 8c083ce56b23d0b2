"""The exclusive use of an SQLite database: no process has a connection to it, and none gets one."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

from tidings.backup.verify import BackupError

_LOCK_TIMEOUT = 2.0  # seconds; a command that only reads has ended by then
_FIX = "stop them (Ctrl-C in the terminal of `tidings up`), then run this command again"


@contextmanager
def exclusive(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database, made if there is none, so that other processes wait until the end.

    Each process of Tidings has connections, which keep the file in WAL mode: SQLite leaves that
    mode for the only connection. Raises `BackupError` while another process uses the database,
    `sqlite3.DatabaseError` if the file is no database.
    """
    _refuse_during_up(path.parent)
    with suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)
    with closing(sqlite3.connect(path, timeout=_LOCK_TIMEOUT, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=DELETE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            users = _users(path) or "other processes"
            raise BackupError(f"{users} use {path}; {_FIX}") from error
        yield connection


def _refuse_during_up(folder: Path) -> None:
    """Raise `BackupError` if a `tidings up` has the folder, whose lock its processes inherit."""
    try:
        lock = os.open(folder / "up.lock", os.O_RDWR)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(lock, 20, 0).decode(errors="replace").strip()
        raise BackupError(
            f"the processes of `tidings up` (pid {pid}) use {folder}; {_FIX}"
        ) from None
    finally:
        os.close(lock)


def refuse_users(path: Path) -> None:
    """Raise `BackupError` if another process has the file open, which cannot be locked."""
    if users := _users(path):
        raise BackupError(f"{users} use {path}; {_FIX}")


def _users(path: Path) -> str:
    """Return the processes that have the file open, as far as this user can see them."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and any(
                Path(each.path).resolve() == path.resolve() for each in process.open_files()
            ):
                name = " ".join(process.cmdline())[:80] or process.name()
                found.append(f"{name} (pid {process.pid})")
    return ", ".join(found)
