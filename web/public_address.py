"""The address that browsers see: what the trusted proxies say of it, and nothing else.

Every link is made of this address, so a value that is none is refused instead of being repeated.
"""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.sansio.utils import host_is_trusted

from tasks.settings import settings as shop_settings
from web.errors import BadAddress
from web.settings import settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

COMPLAINT = "tidings.bad_address"
_PORT = re.compile(r":[0-9]+$")
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~@+-]{1,100}){0,10}")


def _protocol(value: str) -> str | None:
    return value.lower() if value.lower() in ("http", "https") else None


def _host(value: str) -> str | None:
    try:
        value.lower().encode("idna")  # as the router does, which fails on it
    except UnicodeError:
        return None
    return value if host_is_trusted(value) else None


def _port(value: str) -> str | None:
    return value if re.fullmatch(r"[0-9]{1,5}", value) and 0 < int(value) < 2**16 else None


def _prefix(value: str) -> str | None:
    path = value.rstrip("/")
    return path if _PREFIX.fullmatch(path) else None


_FORWARDED: dict[str, tuple[Callable[[str], str | None], str]] = {
    "X-Forwarded-Proto": (_protocol, "http or https"),
    "X-Forwarded-Host": (_host, "a host name, such as shop.example"),
    "X-Forwarded-Port": (_port, "a port, such as 8443"),
    "X-Forwarded-Prefix": (_prefix, "a path, such as /shop"),
}


class PublicAddress:
    """A WSGI middleware that applies what `proxies` trusted proxies say; with none, nothing.

    A proxy may append to the list in a header or replace it. So the value of the outermost trusted
    proxy is the one at `proxies` from the right, or the first of a shorter list. Of the client's
    address the list is complete, and a shorter one is not believed.
    """

    def __init__(self, app: "WSGIApplication", *, proxies: int) -> None:
        self._proxies = proxies
        one = min(1, proxies)  # `_choose` leaves one value of each
        self._app = ProxyFix(app, x_for=proxies, x_proto=one, x_host=one, x_port=one, x_prefix=one)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request; `refuse_bad_address` then refuses one with a value that is none."""
        if self._proxies:
            for name in _FORWARDED:
                self._choose(environ, name)
        host = environ.get("HTTP_HOST")
        if host and _host(host) is None:
            del environ["HTTP_HOST"]
            # A proxy may send the name by which it knows this server, such as `tidings_web`.
            if not (self._proxies and "HTTP_X_FORWARDED_HOST" in environ):
                complaint = (
                    f"the header Host is {host[:100]!r}, which is no host name; a proxy in front "
                    "must forward the one that the browser sees"
                )
                environ.setdefault(COMPLAINT, complaint)
        return self._app(environ, start_response)

    def _choose(self, environ: "WSGIEnvironment", name: str) -> None:
        key = "HTTP_" + name.upper().replace("-", "_")
        values = [each.strip() for each in environ.pop(key, "").split(",")]
        value = values[-min(self._proxies, len(values))]
        if not value:
            return
        check, expected = _FORWARDED[name]
        chosen = check(value)
        if chosen is None:
            environ[COMPLAINT] = (
                f"the header {name} is {value[:100]!r}; the proxy must send {expected}, or not let "
                "a client's header pass"
            )
        elif chosen:
            environ[key] = chosen


def refuse_bad_address() -> None:
    """Refuse a request for a host that is none of `ALLOWED_HOSTS`, or with an invalid address.

    Probes and scrapes are answered: they come by the address of the machine, and get no link.
    """
    if request.blueprint in ("health", "metrics"):
        return
    if complaint := request.environ.get(COMPLAINT):
        raise BadAddress(complaint)
    allowed = settings().host_names
    if not allowed:
        return
    host = _PORT.sub("", request.host.lower()).removesuffix(".")
    # Werkzeug compares no IPv6 address: it cuts the name at the first colon.
    if host not in allowed and not host_is_trusted(host, allowed):
        raise BadAddress(f"this site is not {request.host!r}; ALLOWED_HOSTS lists its names")


def make_redirect_relative(response: Response) -> Response:
    """Leave scheme and host out of a redirect within the site: the browser knows them better."""
    location = response.headers.get("Location", "")
    if location.startswith("http") and location.startswith(own := request.host_url):
        # One slash: two would begin another host's address.
        response.headers["Location"] = "/" + location.removeprefix(own).lstrip("/\\")
        if 300 <= response.status_code < 400:
            response.set_data("")  # Werkzeug's page repeats the address with the host
    return response


def init_app(app: Flask) -> None:
    """Let `app` know its address from `TRUSTED_PROXIES` proxies."""
    proxies = shop_settings().trusted_proxies
    app.wsgi_app = PublicAddress(app.wsgi_app, proxies=proxies)  # type: ignore[method-assign]
    app.after_request(make_redirect_relative)
