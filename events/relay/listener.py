"""Waking the relay on PostgreSQL: it listens, and proves now and then that it hears.

A LISTEN that succeeds proves nothing: of several hosts it may have reached another one than the
writer, and a pooler gives its session to others. So the listener sends itself a notification by
the writer's way. While it hears none, it polls.
"""

import secrets
import select
import threading
import time
from typing import Any

import psycopg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from events.addresses import parse_database_url
from events.database import Database
from events.db_errors import describe_error
from events.dialects import connection_parameters
from events.dialects.pooler import is_pooled, prefer_writable
from events.log import CHANNEL
from events.settings import settings

STOP_INTERVAL = 0.25  # seconds until a stop is noticed
POLL_INTERVAL = 0.1  # seconds between two looks of a relay that is not known to hear
TEST_INTERVAL = 10.0  # seconds between two tests
# It sends nothing for as long as nothing happens. PostgreSQL 13 has no such setting.
_NEVER_TOO_IDLE = (
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
)
ECHO_TIMEOUT = 3.0  # seconds until a notification that was not heard counts as lost
MAX_RETRY_DELAY = 30.0  # seconds between two attempts to connect, each of which may take some
_DIRECT = "set DATABASE_DIRECT_URL to the address of the server itself"

logger = structlog.get_logger("tidings.relay")


class Listener:
    """Listens on a connection of its own; a lost one costs latency only.

    `trouble` is the reason why it polls instead, or `None`.
    """

    def __init__(self, database: Database) -> None:
        direct = settings().database_direct_url
        self._database = database
        self._remedy = "correct DATABASE_DIRECT_URL" if direct else _DIRECT
        url = parse_database_url(direct) if direct else database.url
        self._arguments = _arguments(connection_parameters(url))
        self._echo = f"{CHANNEL}_echo_{secrets.token_hex(4)}"
        self.trouble: str | None = None
        self._connection: psycopg.Connection | None = None
        self._hears = False
        self._test_at = self._connect_at = 0.0
        self._retry_delay = 1.0
        self._echo_until: float | None = None

    def wait(self, timeout: float, stop: threading.Event) -> None:
        """Wait for a notification; return at once after a new LISTEN, which missed some."""
        began = time.monotonic()
        try:
            if self._connection is None and began >= self._connect_at:
                self._connection = self._listen()
                return
            self._wait(began, timeout, stop)
        except (psycopg.Error, OSError, ValueError, SQLAlchemyError) as error:
            self._lose_connection(error)
            stop.wait(min(POLL_INTERVAL, timeout))

    def _wait(self, began: float, timeout: float, stop: threading.Event) -> None:
        while not stop.is_set() and not self._has_news():
            self._test()
            limit = timeout if self._hears else min(POLL_INTERVAL, timeout)
            left = began + limit - time.monotonic()
            if left <= 0:
                return
            if self._connection is None:
                stop.wait(left)
            else:
                select.select([self._connection.fileno()], [], [], min(STOP_INTERVAL, left))

    def _has_news(self) -> bool:
        """Read the notifications; that of the test proves that the others arrive too."""
        if self._connection is None:
            return False
        channels = {each.channel for each in self._connection.notifies(timeout=0)}
        if self._echo in channels:
            self._echo_until = None
            self._report(None)
        return CHANNEL in channels

    def _test(self) -> None:
        """Send a notification if a test is due, or end one that failed."""
        now = time.monotonic()
        if self._connection is None:
            return
        if self._echo_until is not None and now >= self._echo_until:
            # Another connection may reach the right server.
            self._disconnect()
            self._report(f"a notification was not heard within {ECHO_TIMEOUT:g} s; {self._remedy}")
        elif now >= self._test_at:
            with self._database.relaxed() as session:
                self._database.dialect.notify(session, self._echo)
            self._echo_until, self._test_at = now + ECHO_TIMEOUT, now + TEST_INTERVAL

    def _listen(self) -> psycopg.Connection:
        connection = psycopg.connect(**self._arguments, autocommit=True)
        try:
            if is_pooled(connection):
                # There, LISTEN would fill the sessions of others with notifications.
                raise OSError(f"LISTEN does not work through a connection pooler; {self._remedy}")
            connection.execute(_NEVER_TOO_IDLE)
            connection.execute(f"LISTEN {CHANNEL}; LISTEN {self._echo}")
        except BaseException:
            connection.close()
            raise
        self._test_at = 0.0
        return connection

    def _lose_connection(self, error: Exception) -> None:
        self._disconnect()
        found = isinstance(error, SQLAlchemyError)
        message = describe_error(error) if found else str(error).partition("\n")[0]
        self._report(message)

    def _disconnect(self) -> None:
        self.close()
        self._connect_at = time.monotonic() + self._retry_delay
        self._retry_delay = min(MAX_RETRY_DELAY, self._retry_delay * 2)

    def _report(self, trouble: str | None) -> None:
        if trouble and self.trouble is None:
            logger.warning("notifications.unheard", reason=trouble, poll_interval=POLL_INTERVAL)
        elif self.trouble and trouble is None:
            logger.info("notifications.heard")
        if trouble is None:
            self._retry_delay = 1.0
        self.trouble, self._hears = trouble, trouble is None

    def close(self) -> None:
        """Close the connection; never raises."""
        self._echo_until = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _arguments(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a connection that a pooler would not refuse at once."""
    arguments = {name: value for name, value in parameters.items() if name != "options"}
    prefer_writable(arguments)
    # Not longer, because the relay does nothing else meanwhile.
    return arguments | {"connect_timeout": 2}
