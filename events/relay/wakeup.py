"""Waking the relay: a notification on PostgreSQL, a written file on SQLite."""

import sqlite3
import threading
import time
from pathlib import Path
from typing import Protocol

from events.database import Database
from events.relay.file_events import FileEvents
from events.relay.listener import Listener

# A commit writes to SQLite's log first, waits for the disk and then changes the version. So after a
# write the relay looks at the version, some 15 µs each time, and the later the less often.
MIN_INTERVAL, QUIET_INTERVAL = 0.001, 0.25  # seconds
LATENESS = 0.25  # of the time since the write
# The same once a commit was seen: all but rarely it is the one that was written, and the next one
# is told of again. Of a heartbeat, ten looks instead of thirty.
LATENESS_AFTER_COMMIT = 1.0
# Where no writes are told, as on macOS.
BUSY_INTERVAL, IDLE_INTERVAL = 0.002, 0.01  # seconds
BUSY_TIME = 0.25  # seconds after a commit
# A commit of which no write was told for as long is followed by a time of polling.
DEAF_AFTER, DEAF_TIME = 1.0, 60.0  # seconds


class Wakeup(Protocol):
    """A way to wait for another process's commit; `trouble` says why it has to poll."""

    trouble: str | None

    def wait(self, timeout: float, stop: threading.Event) -> None:
        """Return after a commit since the last wait, after `timeout` seconds, or at `stop`."""

    def close(self) -> None:
        """Close the connection."""


def wakeup(database: Database) -> Wakeup:
    """Return the wake-up for the database."""
    return SqliteWakeup(database) if database.sqlite else Listener(database)


class SqliteWakeup:
    """Looks at `PRAGMA data_version`, which changes when another connection commits.

    Linux tells when to look. Where it does not, or not of a commit, it looks at intervals.
    See https://sqlite.org/pragma.html#pragma_data_version.
    """

    def __init__(self, database: Database) -> None:
        path = database.url.database or ""
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.trouble: str | None = None
        self._seen = -1
        self._writes = _writes_to(f"{path}-wal") if path else None
        self._written_at, self._lateness = -DEAF_AFTER, LATENESS
        self._poll_until = self._busy_until = 0.0

    def wait(self, timeout: float, stop: threading.Event) -> None:
        """Wait until the version changes; the relay reports a file that cannot be read."""
        deadline = time.monotonic() + timeout
        while True:
            version, now = self._version(), time.monotonic()
            if version != self._seen:
                self._note_commit(version, now)
                return
            if now >= deadline or stop.is_set():
                return
            self._pause(min(self._interval(now), deadline - now))

    def _pause(self, seconds: float) -> None:
        """Sleep until a write, or for as long."""
        if self._writes is None or 0 < seconds <= MIN_INTERVAL:  # a commit is many writes
            time.sleep(seconds)
        elif self._writes.wait(seconds):
            self._written_at, self._lateness = time.monotonic(), LATENESS

    def _interval(self, now: float) -> float:
        since = (now - self._written_at) * self._lateness
        if self._writes is not None and now >= self._poll_until:
            return min(QUIET_INTERVAL, max(MIN_INTERVAL, since))
        interval = BUSY_INTERVAL if now < self._busy_until else IDLE_INTERVAL
        return min(interval, max(MIN_INTERVAL, since))

    def _note_commit(self, version: int, now: float) -> None:
        self._pause(0.0)
        self._lateness = LATENESS_AFTER_COMMIT
        if self._seen != -1 and now > self._written_at + DEAF_AFTER:
            self._poll_until = now + DEAF_TIME  # as of writes by another kernel
        self._seen, self._busy_until = version, now + BUSY_TIME

    def _version(self) -> int:
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return self._seen

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        if self._writes is not None:
            self._writes.close()


def _writes_to(path: str) -> FileEvents | None:
    try:
        return FileEvents(Path(path).resolve())
    except OSError:  # no inotify, or the user has too many of them
        return None
