"""Flower: can anybody look in, or run tasks through it?"""

import http.client
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from tidings.doctor.findings import Finding, notice, ok, problem, unknown
from tidings.doctor.logins import is_loopback, weak

TIMEOUT = 3.0  # seconds
_TRUE: Final = ("1", "true", "yes", "on")
_LOGIN: Final = "set FLOWER_BASIC_AUTH to user:password where Flower runs, the same as OPS_AUTH"


def check(environment: Mapping[str, str], url: str) -> Iterator[Finding]:
    """Look at Flower's own settings in this environment, and ask the Flower at `url` without a login."""
    yield from _settings(environment)
    yield from _asked(url, environment)


def _settings(environment: Mapping[str, str]) -> Iterator[Finding]:
    if environment.get("FLOWER_UNAUTHENTICATED_API", "").casefold() in _TRUE:
        told = "FLOWER_UNAUTHENTICATED_API is set: every web page that an operator visits can run tasks and stop workers"
        yield problem("flower", told, "unset FLOWER_UNAUTHENTICATED_API")
    logins = environment.get("FLOWER_BASIC_AUTH", "")
    for login in filter(None, logins.split(",")):
        user, _, password = login.partition(":")
        if weak(password, user):
            yield problem(
                "flower",
                f"the password of {user or 'somebody'} in FLOWER_BASIC_AUTH can be guessed",
                "choose a longer one",
            )
    runs_here = any(name.startswith("FLOWER_") and name != "FLOWER_URL" for name in environment)
    if (
        runs_here
        and not logins
        and not environment.get("FLOWER_AUTH")
        and not _only_here(environment)
    ):
        yield problem(
            "flower",
            "it listens on every address and asks for no login",
            f"{_LOGIN}, or FLOWER_ADDRESS to 127.0.0.1",
        )


def _only_here(environment: Mapping[str, str]) -> bool:
    return is_loopback(environment.get("FLOWER_ADDRESS", ""))  # unset, Flower listens everywhere


def _asked(url: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield unknown(
            "flower",
            "FLOWER_URL is not set, so it was not asked",
            "set FLOWER_URL to where Flower is",
        )
        return
    try:
        api, page = (_status(url, path) for path in ("/api/workers", "/workers"))
    except (OSError, http.client.HTTPException) as error:
        yield notice(
            "flower",
            f"{url} does not answer: {type(error).__name__}",
            "start it: celery -A tasks flower; orders do without it",
        )
        return
    if api == http.client.OK:
        yield problem(
            "flower",
            f"{url} lets anybody run tasks and stop workers",
            f"unset FLOWER_UNAUTHENTICATED_API; {_LOGIN}",
        )
    elif page != http.client.OK:
        yield ok("flower", f"{url} asks for a login")
    elif is_loopback(parts.hostname) and _only_here(environment):
        yield notice("flower", f"{url} asks for no login; only this machine reaches it", _LOGIN)
    else:
        yield problem("flower", f"{url} shows everybody every task and worker", _LOGIN)


def _status(url: str, path: str) -> int:
    """How it answers without a login; a redirect is an answer, to somebody's login page."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
    try:
        connection.request("GET", parts.path.rstrip("/") + path)
        return connection.getresponse().status
    finally:
        connection.close()
