"""PostgreSQL behind a pooler such as PgBouncer, which lends a session for one transaction only.

A pooler refuses the startup parameter `options` or ignores it, and a statement that was prepared in
one session does not exist in the next. So behind one, nothing is prepared, and the settings of the
session are made again in each transaction. A pooler is recognised by itself: by its refusal, or
because it announces another process id than that of the server's session.
"""

import re
from typing import Any

import psycopg
from psycopg.pq import ExecStatus
from sqlalchemy import Connection, Engine, event

from events.dialects import direct

_REFUSED = "unsupported startup parameter"
_WORD = re.compile(r"(?:-c\s+)?(?:\\.|[^\s\\])+", re.DOTALL)  # a backslash protects a space
_TIMES = {"DateStyle": "ISO", "TimeZone": "UTC"}
_SETTING = re.compile(r"-(?:c\s*|-)([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)


def is_pooled(connection: Any) -> bool:
    """Tell whether a pooler stands between psycopg's connection and the server.

    Raises psycopg's error without an answer: a pooler lets clients in while its server is away.
    """
    answer = connection.pgconn.exec_(b"SELECT pg_backend_pid()")
    if answer.status != ExecStatus.TUPLES_OK:
        raise psycopg.OperationalError(answer.get_error_message(), info=answer)
    return int(answer.get_value(0, 0)) != int(connection.info.backend_pid)


def settings_of(options: str) -> dict[str, str]:
    """Return the settings of libpq's `options`, such as `-c timezone=utc`."""
    words = (re.sub(r"\\(.)", r"\1", word) for word in _WORD.findall(options))
    found = (_SETTING.fullmatch(word) for word in words)
    return {each[1].replace("-", "_"): each[2] for each in found if each}


def prefer_writable(arguments: dict[str, Any]) -> None:
    """Let libpq choose the primary of several hosts, unless the address says otherwise."""
    if "," in str(arguments.get("host", "")):
        arguments.setdefault("target_session_attrs", "read-write")


class Connector:
    """Opens the connections of an engine, directly or through a pooler."""

    def __init__(self) -> None:
        self._pooled: bool | None = None  # not known before the first connection
        self._settings = b""

    def connect(self, dialect: Any, _: Any, args: Any, arguments: dict[str, Any]) -> Any:
        """Open a connection as the event `do_connect` of SQLAlchemy asks for it."""
        prefer_writable(arguments)
        connection = self._open(dialect, args, arguments)
        try:
            self._recognise(connection, arguments)
            _correct_times(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open(self, dialect: Any, args: Any, arguments: dict[str, Any]) -> Any:
        if not self._pooled:
            try:
                return dialect.connect(*args, **arguments)
            except psycopg.OperationalError as error:
                if _REFUSED not in str(error):
                    raise
            self._note(arguments)
        return dialect.connect(*args, **_without_session(arguments))

    def _recognise(self, connection: Any, arguments: dict[str, Any]) -> None:
        if self._pooled is None:
            if is_pooled(connection):
                self._note(arguments)
            else:
                self._pooled = False
        if self._pooled:  # perhaps another thread has found it out meanwhile
            connection.prepare_threshold = None

    def mark(self, _: Any, record: Any) -> None:
        """Mark a connection whose statements lack its settings outside a transaction."""
        if self._pooled and self._settings:
            record.info[direct.NEEDS_TRANSACTION] = True

    def begin(self, connection: Connection) -> None:
        """Make the session's settings in a transaction that begins, behind a pooler."""
        if self._pooled and self._settings:
            driver: Any = connection.connection.dbapi_connection
            # A reader has no transaction, in which alone a setting would last.
            statements = (b"BEGIN; " if driver.autocommit else b"") + self._settings
            try:
                driver.execute(statements)
            except psycopg.Error as error:  # SQLAlchemy wraps none that its event raises
                direct.raise_wrapped(connection, error, statements)

    def _note(self, arguments: dict[str, Any]) -> None:
        settings = settings_of(str(arguments.get("options", "")))
        # Not SET LOCAL, which takes a list such as a search path for one name.
        calls = (
            f"set_config('{name}', {_quoted(value)}, true)" for name, value in settings.items()
        )
        self._settings = f"SELECT {', '.join(calls)}".encode() if settings else b""
        self._pooled = True


def _correct_times(connection: Any) -> None:
    """Let the server write times as psycopg reads them, and in UTC.

    A role, a database, PGDATESTYLE and PGTZ may say otherwise; the latter two win over `options`.
    The server reports both settings, and a pooler keeps what is set for its client.
    """
    style, zone = (connection.info.parameter_status(name) or "" for name in _TIMES)
    if style.startswith("ISO") and zone.casefold() == "utc":
        return
    autocommit, connection.autocommit = connection.autocommit, True
    for name, value in _TIMES.items():
        connection.execute(f"SET {name} TO {value}")
    connection.autocommit = autocommit


def _quoted(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def _without_session(arguments: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in arguments.items() if name != "options"}
    return kept | {"prepare_threshold": None}  # 0, which guides advise, would prepare at once


def admit_pooler(engine: Engine) -> None:
    """Let `engine` connect directly or through a pooler."""
    connector = Connector()
    event.listen(engine, "do_connect", connector.connect)
    event.listen(engine, "connect", connector.mark)
    event.listen(engine, "begin", connector.begin)
