"""The parameters of a connection to PostgreSQL: those of the URL, joined with our own."""

import os
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import ArgumentError

from events.dialects.dialect import IDLE_TIMEOUT
from events.errors import BadValue
from events.paths import check_path

# A server that vanished without a farewell is noticed after ten seconds, not a quarter of an hour.
NETWORK: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# The URL's own options come later and win; those of `_FORCED` come last.
_DEFAULT = "-c idle_in_transaction_session_timeout={} -c client_connection_check_interval=5000"
_FORCED = "-c timezone=utc"
_MAX_TIMEOUT = 2**31 - 1  # milliseconds that the server takes
_FIX = "correct the part of DATABASE_URL after the question mark"
_HOSTS_FIX = "write postgresql://user:password@one:5432,[2001:db8::2]:5432/name"
_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "gssencmode": ("disable", "prefer", "require"),
    "channel_binding": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "target_session_attrs": (
        "any",
        "read-write",
        "read-only",
        "primary",
        "standby",
        "prefer-standby",
    ),
}
_NUMBERS = (*NETWORK, "keepalives")
_PATHS = ("sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir", "passfile")


def connection_parameters(
    url: URL, options: str = "", *, idle_timeout: float = IDLE_TIMEOUT
) -> dict[str, Any]:
    """Return psycopg's parameters for `url`, with these `options` of the server besides its own.

    What the URL says wins over our defaults, but not over `options`, the encoding and the time
    zone. Raises `BadValue`.
    """
    given = _given(url)
    theirs = given.pop("options", None) or os.environ.get("PGOPTIONS", "")
    threshold = {}
    if "prepare_threshold" in given:
        threshold = {"prepare_threshold": _threshold(given.pop("prepare_threshold"))}
    _check(given)
    ours = dict(NETWORK)
    if os.environ.get("PGCONNECT_TIMEOUT"):
        del ours["connect_timeout"]
    default = _DEFAULT.format(min(int(idle_timeout * 1000), _MAX_TIMEOUT))
    joined = " ".join(filter(None, (default, theirs, options, _FORCED)))
    return ours | given | threshold | {"options": joined, "client_encoding": "utf8"}


def _given(url: URL) -> dict[str, Any]:
    dialect: Any = PGDialect_psycopg  # it has no types
    try:
        found = dialect().create_connect_args(url)[1]
    except ArgumentError as error:
        raise BadValue(f"names its hosts in a way that cannot be read: {error}", _FIX) from None
    except ValueError:  # an address of IPv6 among several parameters `host`
        raise BadValue("names its hosts in a way that cannot be read", _HOSTS_FIX) from None
    given = dict(found)
    for name, value in given.items():
        if isinstance(value, tuple):
            if name != "options":
                raise BadValue(f"gives {name} twice", _FIX)
            given[name] = " ".join(value)
    return given


def _threshold(text: str) -> int | None:
    """Return the number of executions after which psycopg prepares; `None` is never."""
    if text.casefold() in ("none", "never", "off"):
        return None
    return _number("prepare_threshold", text)


def _check(given: dict[str, Any]) -> None:
    for name in _NUMBERS:
        if name in given:
            _number(name, str(given[name]))
    for name in _PATHS:
        check_path(str(given.get(name, "")))
    for name, choices in _CHOICES.items():
        if name in given and given[name] not in choices:
            raise BadValue(
                f"says {name}={given[name]}, which is none of {', '.join(choices)}", _FIX
            )
    if str(given.get("client_encoding", "utf8")).casefold() not in ("utf8", "utf-8", "unicode"):
        raise BadValue("says client_encoding, but the encoding is always UTF-8", _FIX)
    try:
        make_conninfo(**given)
    except psycopg.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise BadValue(f"has a parameter that PostgreSQL does not know: {reason}", _FIX) from None


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise BadValue(f"says {name}={text}, which is no number", _FIX)
    return int(text)
