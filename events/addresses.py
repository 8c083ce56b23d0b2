"""The addresses of database and broker: the forms that are accepted, and the fix of others."""

import os
import re
from urllib.parse import SplitResult, parse_qs, urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from events.dialects import connection_parameters
from events.errors import BadValue, UnsupportedDatabase
from events.paths import check_file_path, check_path

REDIS, AMQP = ("redis", "rediss", "redis+socket"), ("amqp", "amqps", "pyamqp")
TLS = ("rediss", "amqps")
_CERTIFICATES = ("required", "CERT_REQUIRED")  # values of ssl_cert_reqs
_NO_CERTIFICATES = ("optional", "none", "CERT_OPTIONAL", "CERT_NONE")
_DRIVERS = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")
_DATABASE_FIX = "write sqlite:///path/to/file or postgresql://user:password@host/name"
_BROKER_FIX = "write redis://:password@host:6379/0 or amqp://user:password@host:5672/"
_ENCODE = "percent-encode special characters of user and password (@ is %40, / is %2F, # is %23)"
_MAX_SHOWN = 40  # characters of a wrong value
_NAMES_DATABASE = {"PGDATABASE", "PGSERVICE"}  # the variables of libpq
_NOT_IN_HOST = re.compile(r"[^\w.:%/\[\]-]")  # also the $ of a variable that nobody replaced
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
# Several hosts as libpq writes them, which SQLAlchemy reads as one.
_HOSTS = re.compile(r"(?P<head>\w+(?:\+\w+)?://(?:[^@/]*@)?)(?P<hosts>[^/?@]*,[^/?@]*)(?P<rest>.*)")
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
    several = _HOSTS.fullmatch(f"{scheme}://{rest}") if scheme.startswith("postgresql") else None
    try:
        if several:
            url = make_url(several["head"] + several["rest"]).update_query_dict(
                {"host": several["hosts"].split(",")}
            )
        else:
            url = make_url(f"{scheme}://{rest}")
    except (ArgumentError, ValueError):
        raise BadValue("cannot be read as a URL", f"{_DATABASE_FIX}; {_ENCODE}") from None
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise UnsupportedDatabase(url.get_backend_name())
    if scheme not in _DRIVERS:
        raise BadValue(
            f"names the driver {scheme.partition('+')[2]!r}, which is not used here", _DATABASE_FIX
        )
    _check(url)
    return url


def _check(url: URL) -> None:
    if url.get_backend_name() == "postgresql":
        connection_parameters(url)
        _check_host(url)
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


def _check_host(url: URL) -> None:
    if url.port is not None and not 0 < url.port < 2**16:
        raise BadValue(f"names the port {url.port}, which is none", _DATABASE_FIX)
    if found := _NOT_IN_HOST.search(url.host or ""):
        raise BadValue(f"has {found.group()!r} in the host", f"{_DATABASE_FIX}; {_ENCODE}")


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
    parts = split_url(text, _BROKER_FIX)
    if scheme == "redis+socket" and (parts.hostname or not parts.path.strip("/")):
        raise BadValue("names no socket", "write redis+socket:///path/to/broker.sock")
    if scheme == "redis+socket":
        check_path(parts.path.removeprefix("/"))
    if scheme != "redis+socket" and not parts.hostname:
        raise BadValue("names no host", _BROKER_FIX)
    database = parts.path.strip("/")
    if found := _NOT_IN_HOST.search(parts.hostname or ""):
        fix = f"{_BROKER_FIX}, and ; between two URLs"
        raise BadValue(f"has {found.group()!r} in the host", fix)
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


def split_url(text: str, fix: str) -> SplitResult:
    """Return the parts of a URL whose port is a number and whose host a name. Raises `BadValue`."""
    try:
        parts = urlsplit(text)
        if parts.port == 0:
            raise ValueError
        (parts.hostname or "").encode("idna")  # as a socket does, with an error that ends a process
    except ValueError:  # its message may contain the password
        raise BadValue("cannot be read as a URL", f"{fix}; {_ENCODE}") from None
    return parts


def is_amqp(broker_url: str) -> bool:
    """Tell whether the broker speaks AMQP."""
    return broker_url.partition("://")[0] in AMQP
