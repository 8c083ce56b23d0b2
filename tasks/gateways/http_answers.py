"""The classes of HTTP answers: what a gateway over HTTP raises for a status that is no success."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from events import DeadLetter, RetryAfter, clock
from tasks.gateways.ports import BusyUntil, GatewayBusy, GatewayError, GatewayUnanswered

# Too Many Requests, Service Unavailable, and what is in no standard: overloaded (529), and of
# Cloudflare those that say that it has no connection to the gateway, so no request reached it.
NOT_NOW = frozenset({429, 503, 521, 523, 525, 526, 529, 530})
# Bad Gateway, Gateway Timeout, and what Cloudflare (520, 522, 524, 527) and others (598, 599) say
# instead: the request may have reached the gateway.
UNANSWERED = frozenset({502, 504, 520, 522, 524, 527, 598, 599})
FOR_ALL = NOT_NOW | UNANSWERED  # whatever the request is
# Request Timeout, Conflict, Locked, Too Early: the same request may succeed later.
UNKNOWN = frozenset({408, 409, 423, 425})


def error_of(gateway: str, status: int, retry_after: str | None = None) -> Exception:
    """Return the error for `status`, which is 300 or more.

    `retry_after` is the header of that name as it was sent. `NOT_NOW` are "not now". Of the others
    from 500 on the outcome is unknown, unless the header says when to come back. The rest is
    refused for good. Of `FOR_ALL` the error says that the gateway is unavailable to all requests.
    """
    answer = f"{gateway} answers {status}"
    if status < 500 and status not in NOT_NOW | UNKNOWN:
        return DeadLetter(f"{answer}: it refuses the request")
    seconds = seconds_until(retry_after)
    if seconds is not None:
        kind = BusyUntil if status in FOR_ALL else RetryAfter
        return kind(seconds, f"{answer}: retry after {seconds:.0f} s")
    if status in NOT_NOW:
        return GatewayBusy(answer)
    return GatewayUnanswered(answer) if status in UNANSWERED else GatewayError(answer)


def seconds_until(retry_after: str | None) -> float | None:
    """Return the seconds that a Retry-After asks for; nothing if there is none or it is no time.

    RFC 9110, 10.2.3: a number of seconds or a date.
    """
    text = (retry_after or "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - clock.now()).total_seconds())
