"""The origin of a request that changes data: only the site's own pages may send one.

Browsers add a Basic login to whatever a page of another site sends here. A client that is no
browser sends none of the three headers.
"""

from urllib.parse import urlsplit

from flask import request

from events.inputs import only_text
from web.errors import ForeignOrigin

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def refuse_foreign_origins() -> None:
    """Refuse a change that a page of another site requests.

    `Sec-Fetch-Site` is the browser's own judgement of what it saw, whatever proxies make of the
    host. Without it the host is compared with `Origin`, or else with `Referer`.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    site = request.headers.get("Sec-Fetch-Site", "")
    source = request.headers.get("Origin") or request.headers.get("Referer") or None
    if site in ("same-origin", "none"):
        return
    if site in ("same-site", "cross-site") or (source is not None and not _is_own(source)):
        raise ForeignOrigin(
            f"the request came from a page of {_origin(source)}, and this site is "
            f"{request.host_url.rstrip('/')}: pages of other sites cannot change data here. If "
            "both are the same site, the proxy in front must forward the host, port and scheme "
            "that the browser sees, and TRUSTED_PROXIES must count it"
        )


def _is_own(source: str) -> bool:
    """Compare an origin or address with the one of this request.

    The scheme may be https where this request says http: TLS can end at a proxy that says nothing.
    """
    try:
        parts = urlsplit(source)
    except ValueError:  # half an IPv6 address
        return False
    default = _DEFAULT_PORTS.get(parts.scheme, "")
    same_host = parts.netloc.lower().removesuffix(default) == request.host.lower().removesuffix(
        default
    )
    return same_host and parts.scheme in (request.scheme, "https")


def _origin(source: str | None) -> str:
    """Return an origin for a message; the path of a `Referer` may be a secret."""
    origin = "/".join((source or "another site").split("/")[:3])
    return only_text(origin)[:100]
