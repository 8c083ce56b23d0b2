"""Sentry: each dead delivery and each first failure, without payload and personal data.

The error's message and the variables of its frames may hold personal data, so neither is sent: the
value of the exception is the fingerprint. Sentry's own thread sends, from a queue with a limit.
"""

import traceback
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.atexit import AtexitIntegration
from sentry_sdk.integrations.logging import ignore_logger

from events.observers import FailedDelivery, Observer
from events.settings import settings

CLOSE_TIMEOUT = 2.0  # seconds


class Sentry(Observer):
    """The reporter of failed deliveries.

    An application that has called `sentry_sdk.init` keeps its client. Otherwise `SENTRY_DSN` says
    where reports go, and nothing but deliveries is reported.
    """

    def __init__(self) -> None:
        if not sentry_sdk.get_client().is_active():
            sentry_sdk.init(
                settings().sentry_dsn,
                default_integrations=False,
                auto_enabling_integrations=False,
                integrations=[AtexitIntegration(callback=lambda pending, timeout: None)],
                shutdown_timeout=CLOSE_TIMEOUT,
            )
        ignore_logger("tidings.dispatch")  # its lines on dead deliveries would be reported twice

    def failed(self, delivery: FailedDelivery) -> None:
        """Report a dead delivery as an error, a first failure as a warning."""
        if delivery.dead or delivery.first:
            # Of the client and not of the scope, which would add breadcrumbs, user and request.
            sentry_sdk.get_client().capture_event(_report(delivery))

    def close(self) -> None:
        """Send what is left, within seconds."""
        sentry_sdk.get_client().flush(timeout=CLOSE_TIMEOUT)


def _report(delivery: FailedDelivery) -> Any:
    exception = {
        "type": type(delivery.error).__name__,
        "module": type(delivery.error).__module__,
        "value": delivery.fingerprint,
        "stacktrace": {"frames": _frames(delivery.error)},
        "mechanism": {"type": "tidings", "handled": True},
    }
    return {
        "level": "error" if delivery.dead else "warning",
        "logger": "tidings.deliveries",
        "transaction": delivery.subscription,
        "fingerprint": [delivery.subscription, delivery.fingerprint],
        "exception": {"values": [exception]},
        "tags": {
            "subscription": delivery.subscription,
            "event_id": str(delivery.event_id),
            "attempt": str(delivery.attempt),
            "state": "dead" if delivery.dead else "retrying",
        },
    }


def _frames(error: BaseException) -> list[dict[str, Any]]:
    """Return where the error was raised: places in the code, no values."""
    return [
        {
            "abs_path": each.filename,
            "filename": each.filename,
            "function": each.name,
            "lineno": each.lineno,
        }
        for each in traceback.extract_tb(error.__traceback__, limit=100)
    ] or [{"function": "none"}]
