"""Flower: its settings in this environment, and the access it gives without a login."""

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import httpx

from tidings.doctor.findings import Finding, notice, ok, problem, unknown
from tidings.doctor.secrets import is_weak
from tidings.http_client import BadVariable, is_loopback, open_client

SOCKET_TIMEOUT = 3.0  # seconds
_TRUE: Final = ("1", "true", "yes", "on")
_SET_LOGIN: Final = "set FLOWER_BASIC_AUTH to the same user:password as OPS_AUTH"


def check(environment: Mapping[str, str], url: str) -> Iterator[Finding]:
    """Examine Flower's variables in this environment, and the Flower at `url` without a login."""
    yield from _settings(environment)
    yield from _access(url, environment)


def _settings(environment: Mapping[str, str]) -> Iterator[Finding]:
    if environment.get("FLOWER_UNAUTHENTICATED_API", "").casefold() in _TRUE:
        yield problem(
            "flower",
            "FLOWER_UNAUTHENTICATED_API is set: any web page that an operator visits can run "
            "tasks and stop workers",
            "unset FLOWER_UNAUTHENTICATED_API",
        )
    logins = environment.get("FLOWER_BASIC_AUTH", "")
    for login in filter(None, logins.split(",")):
        user, _, password = login.partition(":")
        if is_weak(password, user):
            yield problem(
                "flower",
                f"the password of {user or 'an unnamed user'} in FLOWER_BASIC_AUTH is weak",
                "choose a longer one",
            )
    runs_here = any(name.startswith("FLOWER_") and name != "FLOWER_URL" for name in environment)
    has_login = logins or environment.get("FLOWER_AUTH")
    if runs_here and not has_login and not _binds_loopback(environment):
        yield problem(
            "flower",
            "it listens on all addresses and requires no login",
            f"{_SET_LOGIN}, or FLOWER_ADDRESS to 127.0.0.1",
        )


def _binds_loopback(environment: Mapping[str, str]) -> bool:
    # Without FLOWER_ADDRESS Flower listens on all addresses.
    return is_loopback(environment.get("FLOWER_ADDRESS", ""))


def _access(url: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        fix = "set FLOWER_URL to the address of Flower"
        yield unknown("flower", "not examined, because FLOWER_URL is not set", fix)
        return
    try:
        with open_client(url, timeout=SOCKET_TIMEOUT) as client:
            # A redirect is an answer too: it leads to a login page.
            api, page = (client.get(path).status_code for path in ("/api/workers", "/workers"))
    except BadVariable as error:
        yield unknown("flower", f"not examined: {error}", "correct that variable")
    except httpx.HTTPError as error:
        yield notice(
            "flower",
            f"{url} does not answer: {type(error).__name__}",
            "start it: celery -A tasks flower; orders do not depend on it",
        )
    else:
        yield from _judged(url, api, page, environment)


def _judged(url: str, api: int, page: int, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Judge the status codes of the API and of a page that were asked for without a login."""
    if api == httpx.codes.OK:
        yield problem(
            "flower",
            f"{url} lets anyone run tasks and stop workers",
            f"unset FLOWER_UNAUTHENTICATED_API; {_SET_LOGIN}",
        )
    elif page != httpx.codes.OK:
        yield ok("flower", f"{url} requires a login")
    elif is_loopback(urlsplit(url).hostname or "") and _binds_loopback(environment):
        yield notice("flower", f"{url} requires no login; only this machine reaches it", _SET_LOGIN)
    else:
        yield problem("flower", f"{url} shows all tasks and workers to anyone", _SET_LOGIN)
