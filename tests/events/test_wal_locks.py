"""SQLite's log, which other processes may keep from being read: its error is "locking protocol"."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.exc import OperationalError

from events import Database
from events.db_errors import is_transient
from tests.events.sample import marks, note

# A program that locks the bytes of WAL_READ_LOCK (https://sqlite.org/walformat.html).
HOLD = """
import fcntl, sys
with open(sys.argv[1], "r+b") as index:
    fcntl.lockf(index, fcntl.LOCK_EX, 5, 123)
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_read_locks(database: Database) -> Iterator[None]:
    """Hold the locks that a reader needs, as other processes do by turns."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, f"{database.url.database}-shm"],
        stdin=subprocess.PIPE,  # it ends with this process
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        try:
            yield
        finally:
            other.terminate()


@pytest.mark.slow  # SQLite waits for ten seconds
def test_a_log_that_others_keep_from_being_read_may_be_read_later(database: Database):
    note("a")
    with held_read_locks(database), pytest.raises(OperationalError, match="locking") as raised:
        marks()

    assert is_transient(raised.value)
    assert marks() == {}
