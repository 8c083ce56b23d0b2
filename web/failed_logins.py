"""The limit on failed logins from one network, counted for all web processes in the database.

Only a failed login costs the database a statement. A process refuses a network at its limit without
one, the right password too, because an answer to it would say that it is right. A process that has
seen no failure of that network learns of its limit at the first one.
"""

import structlog
from flask import request
from limits import RateLimitItem, parse_many
from werkzeug.exceptions import TooManyRequests

from web import rate_limit
from web.client_address import client_address, client_network
from web.rate_limit import limiter
from web.settings import OFF, settings

_KIND = "logins"
_MAX_SHOWN = 64  # characters of a name in the log
log = structlog.get_logger()


def is_limited() -> bool:
    """Return true if the network of this request has no login left in its present window."""
    network = client_network(request.remote_addr)
    return not all(limiter().test(limit, _KIND, network) for limit in _limits())


def count() -> bool:
    """Count a failed login of this request's network; false if it is beyond the limit."""
    network = client_network(request.remote_addr)
    hits = [limiter().hit(limit, _KIND, network) for limit in _limits()]  # in each limit
    return all(hits)


def record(user: str, *, hidden: bool, limited: bool) -> None:
    """Log a refused login, `hidden` without its name, which may hold a password."""
    log.warning(
        "login.refused",
        user="(hidden)" if hidden else user[:_MAX_SHOWN],
        address=client_address(request.remote_addr) or "unknown",
        path=request.path[:200],
        reason="too many failed logins" if limited else "wrong login",
    )


def too_many() -> TooManyRequests:
    """Return the error for a network at its limit, with the seconds until its window ends."""
    network = client_network(request.remote_addr)
    ends_at = max(
        (
            limiter().get_window_stats(limit, _KIND, network).reset_time
            for limit in _limits()
            if not limiter().test(limit, _KIND, network)
        ),
        default=0.0,
    )
    return rate_limit.too_many(
        "Too many logins from this network failed. Wait until the time that Retry-After names; "
        "until then its right logins are refused too.",
        ends_at,
    )


def _limits() -> list[RateLimitItem]:
    limit = settings().login_limit
    return [] if limit == OFF else parse_many(limit)
