"""The addresses of database and broker: the forms that are accepted, and the fix of others."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from events.dialects import connection_parameters
from events.errors import BadValue, UnsupportedDatabase
from events.hosts import ENCODE, check_encoding, check_host, split_url
from events.paths import check_file_path, check_path

REDIS, AMQP = ("redis", "rediss", "redis+socket"), ("amqp", "amqps", "pyamqp")
TLS = ("rediss", "amqps")
_CERTIFICATES = ("required", "CERT_REQUIRED")  # values of ssl_cert_reqs
_NO_CERTIFICATES = ("optional", "none", "CERT_OPTIONAL", "CERT_NONE")
_DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")
_DATABASE_FIX = "write sqlite:///path/to/file or postgresql://user:password@host/name"
_BROKER_FIX = "write redis://:password@host:6379/0 or amqp://user:password@host:5672/"
_MAX_SHOWN = 40  # characters of a wrong value
_NAMES_DATABASE = {"PGDATABASE", "PGSERVICE"}  # the variables of libpq
_TLS_OPTIONS = (
    *("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"),
    "ssl_check_hostname",
)
# The parameters that kombu hands on; any other ends each process with a TypeError.
_OPTIONS: dict[str, tuple[str, ...]] = {
    "redis": (),
    "rediss": _TLS_OPTIONS,
    "redis+socket": ("virtual_host",),
    **dict.fromkeys(AMQP, ("heartbeat",)),
}
_NUMBERS = ("heartbeat", "virtual_host")
_PATHS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Hosts as libpq writes them and SQLAlchemy does not read them: several, and an encoded one.
_HOSTS = re.compile(
    r"(?P<head>\w+(?:\+\w+)?://(?>(?:[^:/]*(?::[^@]*)?@)?))"
    r"(?P<hosts>[^/?@]*[,%][^/?@]*)(?P<rest>(?:[/?].*)?)"
)
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]*))?")
_REPLACED = {
    "sentinel": "Redis Sentinel is not supported; give the address of the primary",
    "valkey": "write redis:// instead of valkey://",
    "valkeys": "write rediss:// instead of valkeys://",
    "unix": "write redis+socket:// instead of unix://",
}


def parse_database_url(text: str) -> URL:
    """Return the URL of a database. Raises `BadValue`, and `UnsupportedDatabase`."""
    if not _SCHEME.match(text):
        raise BadValue("is no URL", _DATABASE_FIX)
    scheme, _, rest = text.partition("://")
    scheme = re.sub(r"^postgres(?=\+|$)", "postgresql", scheme.lower())  # as Heroku writes it
    found = None
    if scheme.startswith("postgresql"):
        check_encoding(rest, _DATABASE_FIX)
        found = _HOSTS.fullmatch(f"{scheme}://{rest}")
    try:
        if found:
            url = make_url(found["head"] + found["rest"]).update_query_dict(_hosts(found["hosts"]))
        else:
            url = make_url(f"{scheme}://{rest}")
    except (ArgumentError, ValueError):
        raise BadValue("cannot be read as a URL", f"{_DATABASE_FIX}; {ENCODE}") from None
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise UnsupportedDatabase(url.get_backend_name())
    if scheme not in _DRIVERS:
        raise BadValue(
            f"names the driver {scheme.partition('+')[2]!r}, which is not used here", _DATABASE_FIX
        )
    _check(url)
    return url


def _hosts(written: str) -> dict[str, str]:
    """Return hosts and ports as parameters of the address. Raises `ValueError`."""
    found = [_HOST_AND_PORT.fullmatch(each.strip()) for each in written.split(",")]
    pairs = [(unquote(each[1].strip("[]")), each[2] or "") for each in found if each]
    if len(pairs) < len(found):
        raise ValueError
    hosts, ports = (",".join(each) for each in zip(*pairs, strict=True))
    return {"host": hosts} | ({"port": ports} if ports.strip(",") else {})


def _check(url: URL) -> None:
    if url.get_backend_name() == "postgresql":
        if (url.host or "").startswith("@"):  # an encoded one is the name of an abstract socket
            raise BadValue("has '@' in the host", f"{_DATABASE_FIX}; {ENCODE}")
        _check_hosts(connection_parameters(url) | ({"port": 0} if url.port == 0 else {}))
        _check_name(url)
    elif url.query:  # our connections give SQLite theirs
        raise BadValue("has parameters of SQLite", "leave out what follows the question mark")
    elif url.host or url.username:
        raise BadValue("has two slashes before the path of the SQLite file", _DATABASE_FIX)
    elif url.database is None or url.database in ("", ":memory:"):
        raise BadValue(
            "names a database in memory, which each process would have for itself", _DATABASE_FIX
        )
    else:
        check_file_path(url.database)


def _check_hosts(parameters: Mapping[str, Any]) -> None:
    for port in filter(None, str(parameters.get("port", "")).split(",")):
        if not (_is_number(port) and 0 < int(port) < 2**16):
            raise BadValue(f"names the port {port[:_MAX_SHOWN]}, which is none", _DATABASE_FIX)
    for host in str(parameters.get("host", "")).split(","):
        if not host.startswith(("/", "@")):  # of a socket
            check_host(host, f"{_DATABASE_FIX}; {ENCODE}")


def _check_name(url: URL) -> None:
    """Refuse an address without a database, for which libpq takes the name of the user.

    An address without a host is one: it means the socket of this machine.
    """
    given = url.query.keys() & {"dbname", "service"} or os.environ.keys() & _NAMES_DATABASE
    if not (url.database or given):
        raise BadValue(
            "names no database",
            "write postgresql://user:password@host/name, or set PGDATABASE as well",
        )


def check_database_url(text: str) -> str:
    """Return the URL of a database in SQLAlchemy's form. Raises `BadValue`."""
    try:
        return parse_database_url(text).render_as_string(hide_password=False)
    except UnsupportedDatabase as error:
        raise BadValue(f"names {error.backend!r}", _DATABASE_FIX) from None


def check_postgresql_url(text: str) -> str:
    """Return the URL of a PostgreSQL in SQLAlchemy's form. Raises `BadValue`."""
    url = check_database_url(text)
    if not url.startswith("postgresql"):
        raise BadValue("names no PostgreSQL", "write postgresql://user:password@host/name")
    return url


def check_broker_url(text: str) -> str:
    """Return the URL of the broker, or several URLs joined by `;`. Raises `BadValue`."""
    urls = text.split(";")
    schemes = {_check_broker(url) for url in urls}
    if len({scheme in TLS for scheme in schemes}) > 1 or len({is_amqp(each) for each in urls}) > 1:
        raise BadValue("mixes brokers of two kinds, or with and without TLS", "name brokers alike")
    return text


def _check_broker(text: str) -> str:
    if not _SCHEME.match(text) or re.search(r"\s", text):
        raise BadValue("is no URL", _BROKER_FIX)
    scheme = text.partition("://")[0]
    if scheme not in REDIS + AMQP:
        fix = _REPLACED.get(scheme.casefold(), _BROKER_FIX)
        raise BadValue(f"begins with {scheme}://, which is not supported", fix)
    parts = split_url(text, f"{_BROKER_FIX}, and ; between two URLs")
    if scheme == "redis+socket" and (parts.hostname or not parts.path.strip("/")):
        raise BadValue("names no socket", "write redis+socket:///path/to/broker.sock")
    if scheme == "redis+socket":
        check_path(parts.path.removeprefix("/"))
    if scheme != "redis+socket" and not parts.hostname:
        raise BadValue("names no host", _BROKER_FIX)
    database = parts.path.strip("/")
    if scheme in ("redis", "rediss") and database and not _is_number(database):
        raise BadValue(f"names the database {database!r}, which is no number", _BROKER_FIX)
    options = parse_qs(parts.query, keep_blank_values=True)
    _check_certificate_options(scheme, options)
    _check_options(scheme, options)
    return scheme


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _check_options(scheme: str, options: dict[str, list[str]]) -> None:
    known = _OPTIONS[scheme]
    for name, values in options.items():
        if name not in known:
            some = f"is not among {', '.join(known)}" if known else "is none that it can have"
            raise BadValue(
                f"has the parameter {name[:_MAX_SHOWN]!r}, which {some}",
                "leave it out: an address of a broker cannot say it",
            )
        if len(values) > 1:
            raise BadValue(f"gives {name} twice", "give it once")
        if name in _PATHS:
            check_path(values[0])
        if name in _NUMBERS and not _is_number(values[0]):
            shown = values[0][:_MAX_SHOWN]
            raise BadValue(f"says {name}={shown}, which is no number", "write digits only")


def _check_certificate_options(scheme: str, options: dict[str, list[str]]) -> None:
    if scheme == "amqps" and any(name.startswith("ssl") for name in options):
        raise BadValue(
            "has options of TLS, which amqps:// cannot have",
            "leave them out; SSL_CERT_FILE names the file of an authority of your own",
        )
    for value in options.get("ssl_cert_reqs", ()):
        if value not in _CERTIFICATES + _NO_CERTIFICATES:
            raise BadValue(
                f"says ssl_cert_reqs={value}",
                "leave ssl_cert_reqs out: certificates are then required",
            )


def accepts_any_certificate(broker_url: str) -> bool:
    """Tell whether a broker's URL lets any server present itself as the broker."""
    return any(
        value in _NO_CERTIFICATES
        for url in broker_url.split(";")
        for value in parse_qs(urlsplit(url).query).get("ssl_cert_reqs", ())
    )


def tls_hosts(broker_url: str) -> tuple[str, ...]:
    """Return the hosts of a broker that is reached over TLS; none if it is reached without."""
    parts = [urlsplit(url) for url in broker_url.split(";")]
    return tuple(each.hostname or "" for each in parts if each.scheme in TLS)


def is_amqp(broker_url: str) -> bool:
    """Tell whether the broker speaks AMQP."""
    return broker_url.partition("://")[0] in AMQP
