"""Inward: one Celery task for each subscription. What it is rung for goes to `dispatch`."""

from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from celery import Celery, Task
from celery.exceptions import Retry
from celery.signals import celeryd_init, setup_logging
from kombu.transport import TRANSPORT_ALIASES

from events import logs
from events.database import reset_after_fork
from events.db_errors import describe_error, is_transient
from events.dispatch import Result, dispatch
from events.subscriptions import Subscription
from events.transport import amqp_message
from events.transport.bootsteps import Heartbeat, ShortLockTimeout
from events.transport.request import LedgerRequest
from events.transport.watchdog import TimeLimitWatchdog, watched


def install(app: Celery, subscriptions: Iterable[Subscription]) -> None:
    """Give `app` one task per subscription, and our consumer's parts."""
    for subscription in subscriptions:
        declare: Any = app.task(
            name=subscription.name, bind=True, typing=False, throws=(Dead,), Request=LedgerRequest
        )
        declare(_runner(subscription))
    app.steps["consumer"].add(Heartbeat)
    app.steps["worker"].update((ShortLockTimeout, TimeLimitWatchdog))
    TRANSPORT_ALIASES.update(
        dict.fromkeys(("redis", "rediss"), "events.transport.redis_channel:Transport")
    )
    amqp_message.install()
    setup_logging.connect(_leave_logs, weak=False)
    celeryd_init.connect(_configure_logs, weak=False)
    reset_after_fork()


def _configure_logs(sender: str, **_: Any) -> None:
    logs.configure(sender)


def _leave_logs(**_: Any) -> None:
    """That somebody hears this signal keeps Celery from setting up logs of its own."""


class Dead(Exception):
    """The task ends as FAILURE: a delivery of its message is dead. The ledger has the whole story."""


class Waiting(Exception):
    """The task ends as RETRY: a delivery of its message waits in the ledger for its next try."""


def _runner(subscription: Subscription) -> Callable[[Task[Any, Any], list[str]], str]:
    def run(task: Task[Any, Any], ids: list[str]) -> str:
        # What came back from a dying worker may be what killed it, so its start is counted.
        suspect = bool((task.request.delivery_info or {}).get("redelivered"))
        worker, events = task.request.hostname or "", [UUID(id) for id in ids]
        try:
            with watched(subscription.name, events, worker):
                report = dispatch(subscription, events, worker=worker, suspect=suspect)
        except Exception as error:
            if not is_transient(error):
                raise
            raise Retry(
                exc=Waiting(
                    f"database: {describe_error(error)}; the ledger sends again after the lease"
                )
            ) from error
        if report.count(Result.DEAD):
            raise Dead(str(report))
        if report.count(Result.RETRYING):
            raise Retry(str(report), exc=Waiting(str(report)), when=report.wait)  # type: ignore[arg-type]  # the stubs say numbers.Real
        return str(report)

    run.__doc__ = subscription.handler.__doc__
    return run
