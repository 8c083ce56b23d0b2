"""The alerts: somebody gets them, and the webhook's name leads to an address that is allowed."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from events.errors import BadValue
from tasks.webhook_settings import resolve
from tidings.doctor.findings import Finding, notice, ok, problem
from tidings.http_client import is_loopback


def check(operator: str, webhook: str, networks: str, smtp_url: str) -> Iterator[Finding]:
    """Examine where alerts go; to nobody is worth a notice if mails leave this machine."""
    if not operator and not webhook and is_loopback(urlsplit(smtp_url).hostname or ""):
        yield ok("alerts", "alerts stay on /ops/alerts")
    elif not operator and not webhook:
        yield notice(
            "alerts",
            "alerts are sent to nobody",
            "set OPERATOR_EMAIL, or ALERT_WEBHOOK_URL and ALERT_WEBHOOK_SECRET",
        )
    if operator:
        yield ok("alerts", "alerts are mailed")
    if webhook:
        yield from _webhook(webhook, networks)


def _webhook(url: str, networks: str) -> Iterator[Finding]:
    try:
        resolve(url, networks)
    except BadValue as error:
        yield problem("alerts", f"ALERT_WEBHOOK_URL {error.reason}", error.fix)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        fix = "correct the name, or the name server of the worker of queue dead_letters"
        yield problem("alerts", f"the host of ALERT_WEBHOOK_URL has no address: {reason}", fix)
    else:
        yield ok("alerts", "alerts are posted to the webhook")
