"""Database errors: transient or not, the reason and mend where known, and a description."""

import re
import sqlite3
from typing import Any

from sqlalchemy.exc import DataError, DBAPIError

from events.errors import TransactionNotStarted

# SQLSTATE: serialization failure, deadlock, lock timeout, shutdown, lost connection
_TRANSIENT = ("40001", "40P01", "55P03", "57P", "08")
_CANCELLED = "57014"  # by statement_timeout, or by an operator
_ROW = re.compile(r"\(\d+,\d+\)")  # as in `while updating tuple (0,1) in relation "orders"`
# The latter is "locking protocol": WAL could not be read for ten seconds, because of others.
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL)
_FULL = "its disk is full: make room"
_READ_ONLY = "it is read-only: make it writable, or name another database in DATABASE_URL"
_BY_CODE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_IOERR: "its disk is full or fails: make room, or read the machine's log",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened: check that its folder is writable",
}
_NO_MEMORY = "it lacks memory: give it more"
_NO_CONNECTION = (
    "it has no connection left: raise max_connections, the role's CONNECTION LIMIT or PgBouncer's "
    "max_client_conn, or run fewer processes"
)
_BY_STATE = {  # not all of 53: a limit such as temp_file_limit is one statement's, and stays
    "53000": _NO_MEMORY,
    "53100": _FULL,
    "53200": _NO_MEMORY,
    "53300": _NO_CONNECTION,
    "25006": _READ_ONLY,
    "58": "its disk fails: read the server's log",
}
# An error of the login: psycopg knows its words only.
_BY_WORDS = {
    "too many clients already": _NO_CONNECTION,
    "too many connections for": _NO_CONNECTION,
    "connection slots are reserved": _NO_CONNECTION,
    "no more connections allowed": _NO_CONNECTION,
    "password authentication failed": "it refuses the password: correct it in DATABASE_URL",
}


def unavailable_reason(error: BaseException) -> str | None:
    """Return why a reachable database takes nothing now, and the mend; `None` for any other error.

    Nothing is lost by it: the transaction is rolled back, and is run again when the database
    takes it.
    """
    if not isinstance(error, DBAPIError):
        return None
    code = _code(error)
    if code is not None:
        return _BY_CODE.get(code)
    state = _state(error)
    if state is None:
        return next((why for words, why in _BY_WORDS.items() if words in str(error.orig)), None)
    return next((why for known, why in _BY_STATE.items() if state.startswith(known)), None)


def describe_error(error: Exception) -> str:
    """Return the first line of the database's message, and the mend where it is known.

    The statement and further lines are left out, because they hold values.
    """
    message = str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]
    reason = unavailable_reason(error)
    return f"{message}; {reason}" if reason else message


def is_transient(error: BaseException) -> bool:
    """Tell whether the same statements may succeed later.

    True for a lock, a deadlock, a lost connection, a full disk; of cancelled statements only for
    one that waited for a row, because one that is slow may be slow each time.
    """
    if isinstance(error, TransactionNotStarted):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or _code(error) in _LOCKED:
        return True
    if unavailable_reason(error):
        return True
    if is_cancelled(error):
        return _waited_for_row(error)
    state = _state(error)
    return bool(state and state.startswith(_TRANSIENT)) or (
        state is None
        and type(error.orig).__module__.startswith("psycopg")
        and error.__class__.__name__ == "OperationalError"
    )


def is_cancelled(error: BaseException) -> bool:
    """Tell whether a statement was cancelled, by a timeout or an operator."""
    return _state(error) == _CANCELLED


def _waited_for_row(error: DBAPIError) -> bool:
    # The server's language is any, and other contexts such as a function's come after the row.
    driver: Any = error.orig
    return bool(_ROW.search((driver.diag.context or "").partition("\n")[0]))


def _code(error: DBAPIError) -> int | None:
    """Return SQLite's code without the bits that say where it failed, or `None`."""
    code: int | None = getattr(error.orig, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _state(error: BaseException) -> str | None:
    """Return PostgreSQL's SQLSTATE, which an error of the login lacks, or `None`."""
    state: str | None = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state


def is_input_fault(error: BaseException) -> bool:
    """Tell whether a value was refused that no column takes: NUL, too long, out of range.

    SQLite's driver and the encoder raise their own errors before the database sees the value.
    """
    if isinstance(error, OverflowError):
        return "SQLite" in str(error)
    if isinstance(error, UnicodeEncodeError):
        return "surrogates" in error.reason
    state = _state(error)
    return isinstance(error, DataError) and (state is None or state.startswith("22"))


def sanitize_text(text: str, limit: int) -> str:
    """Return the first `limit` characters of a text in a form that every database stores.

    PostgreSQL refuses NUL, and no database takes half of a surrogate pair.
    """
    cut = text[:limit].replace("\x00", "\\x00")
    return cut.encode("utf-8", "backslashreplace").decode()[:limit]
