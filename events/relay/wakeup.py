"""Waking the relay: a notification on PostgreSQL, a changed file on SQLite."""

import sqlite3
import threading
import time
from typing import Protocol

from events.database import Database
from events.relay.listener import Listener

# Seconds between two looks at SQLite's version, each some 15 µs. The next hop of an order follows
# soon after a commit, so the relay looks often for a while.
BUSY_INTERVAL, IDLE_INTERVAL = 0.002, 0.01
BUSY_TIME = 0.25  # seconds after a commit


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
    """Polls `PRAGMA data_version`, which changes when another connection commits.

    See https://sqlite.org/pragma.html#pragma_data_version.
    """

    def __init__(self, database: Database) -> None:
        self._connection = sqlite3.connect(
            database.url.database or "", isolation_level=None, check_same_thread=False
        )
        self.trouble: str | None = None
        self._seen = -1
        self._busy_until = 0.0

    def wait(self, timeout: float, stop: threading.Event) -> None:
        """Poll until the version changes; the relay reports a file that cannot be read."""
        deadline = time.monotonic() + timeout
        while True:
            version, now = self._version(), time.monotonic()
            if version != self._seen:
                self._seen, self._busy_until = version, now + BUSY_TIME
                return
            if now >= deadline or stop.is_set():
                return
            interval = BUSY_INTERVAL if now < self._busy_until else IDLE_INTERVAL
            time.sleep(min(interval, deadline - now))

    def _version(self) -> int:
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            return self._seen

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
