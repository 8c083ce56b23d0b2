"""Secrets: is one missing, or one that everybody knows?"""

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from tidings.doctor.findings import Finding, one_of, problem

_SHORTEST_KEY, _SHORTEST_PASSWORD = 16, 8
_WELL_KNOWN = {
    *(
        "admin",
        "admin123",
        "administrator",
        "change-me",
        "change_me",
        "changeit",
        "changeme",
        "default",
        "development",
        "dev",
        "example",
    ),
    *(
        "guest",
        "letmein",
        "ops",
        "pass",
        "password",
        "password1",
        "postgres",
        "qwerty",
        "rabbitmq",
        "redis",
        "root",
        "secret",
    ),
    *(
        "secret-key",
        "secret_key",
        "secretkey",
        "test",
        "tidings",
        "user",
        "valkey",
        "12345678",
        "123456789",
        "1234567890",
    ),
}
_NEW_KEY = 'set it to the output of: python3 -c "import secrets; print(secrets.token_hex(32))"'


def check(*, secret_key: str, ops_auth: str, urls: dict[str, str]) -> Iterator[Finding]:
    """Look at the web's key, the ops login, and the passwords in the addresses of broker, database and mail server."""
    yield from one_of("secret key", _key(secret_key), "SECRET_KEY is set")
    yield from one_of("ops login", _ops(ops_auth), "OPS_AUTH is set")
    wrong = (
        finding
        for name, url in urls.items()
        for part in url.split(";")
        for finding in _url(name, part)
    )
    yield from one_of("addresses", wrong, "none has a password that everybody knows")


def _key(key: str) -> Iterator[Finding]:
    if not key:
        yield problem(
            "secret key",
            "SECRET_KEY is not set, so each web process makes one up and refuses the others' forms",
            _NEW_KEY,
        )
    elif (
        key.casefold() in _WELL_KNOWN
        or len(key) < _SHORTEST_KEY
        or len(set(key)) < _SHORTEST_PASSWORD
    ):
        yield problem(
            "secret key", "SECRET_KEY can be guessed, and with it every session forged", _NEW_KEY
        )


def _ops(login: str) -> Iterator[Finding]:
    user, colon, password = login.partition(":")
    fix = "set it to user:password, with a password of sixteen characters or so"
    if not login:
        yield problem("ops login", "OPS_AUTH is not set, so nobody can log in to /ops", fix)
    elif not user or not colon or not password:
        yield problem(
            "ops login", "OPS_AUTH is not user:password, so nobody can log in to /ops", fix
        )
    elif weak(password, user):
        yield problem("ops login", "the password in OPS_AUTH can be guessed", fix)


def _url(name: str, url: str) -> Iterator[Finding]:
    parts = urlsplit(url)
    if parts.hostname is None or is_loopback(parts.hostname):
        return
    password = unquote(parts.password or "")
    if not password and name == "BROKER_URL":
        fix = "give the broker a password and put it into BROKER_URL"
        yield problem(
            "addresses",
            f"the broker at {parts.hostname} wants no password: who reaches it can read and write the queues",
            fix,
        )
    elif password and weak(password, unquote(parts.username or "")):
        yield problem(
            "addresses",
            f"the password in {name}, of {parts.hostname}, can be guessed",
            f"change it there, then in {name}",
        )


def weak(password: str, user: str) -> bool:
    """Whether one of the first guesses would find this password."""
    return (
        password.casefold() in {*_WELL_KNOWN, user.casefold()} or len(password) < _SHORTEST_PASSWORD
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.casefold() in ("localhost", "localhost.localdomain", "ip6-localhost")
