"""The worker's side: one Celery task per subscription, which calls `dispatch`."""

from collections.abc import Callable, Iterable, Set
from functools import partial
from typing import Any
from uuid import UUID

from celery import Celery, Task
from celery.exceptions import Retry, SoftTimeLimitExceeded
from celery.signals import (
    celeryd_init,
    setup_logging,
    worker_process_init,
    worker_process_shutdown,
)
from kombu.transport import TRANSPORT_ALIASES

from events import breakers, count_flush, logs, observers
from events.addresses import is_amqp
from events.database import reset_after_fork
from events.db_errors import describe_error, is_transient
from events.dispatch import dispatch
from events.observers import loading
from events.outcome import Result
from events.settings import settings
from events.subscriptions import Subscription, registered
from events.transport import amqp_message
from events.transport.bootsteps import Heartbeat, ShortLockTimeout
from events.transport.broker_queues import queues
from events.transport.celery_defaults import celery_defaults
from events.transport.redis_channel import Transport as RedisTransport
from events.transport.request import LedgerRequest
from events.transport.watchdog import TimeLimitWatchdog, time_limited

# A message is requeued when its worker dies; the ledger absorbs the copy and limits the crashes. It
# retries the row, not the message, and has the state, so that there is no result to keep.
_OPTIONS: dict[str, Any] = {
    "bind": True,
    "shared": False,  # another app of this process has none of them
    "typing": False,
    "ignore_result": True,
    "track_started": False,
    "acks_late": True,
    "reject_on_worker_lost": True,
    "retry_on_worker_lost": False,
    "acks_on_failure": True,
    "acks_on_timeout": False,
    "Request": LedgerRequest,
}


def install(app: Celery, subscriptions: Iterable[Subscription]) -> None:
    """Give `app` one task and one queue per subscription, the bootsteps, our channel and message
    classes, and defaults for its settings.

    Ordinary tasks of the app keep Celery's semantics: what a delivery needs is set on its task. The
    app's own settings win over the defaults, and its logging stays its own.
    """
    names = set()
    for subscription in subscriptions:
        declare: Any = app.task(name=subscription.name, throws=(DeadLettered,), **_OPTIONS)
        declare(_task(subscription))
        names.add(subscription.queue)
    if getattr(app, "configured", False):  # its module has used `app.conf`; not in the stubs
        _add_defaults(app, app.conf)
    app.on_after_configure.connect(_add_defaults, weak=False)
    app.on_after_finalize.connect(_set_time_limits, weak=False)
    app.on_after_finalize.connect(partial(_add_queues, names), weak=False)
    app.steps["consumer"].add(Heartbeat)
    app.steps["worker"].update((ShortLockTimeout, TimeLimitWatchdog))
    aliases: dict[str, Any] = TRANSPORT_ALIASES  # kombu calls an alias that is no text
    aliases.update(dict.fromkeys(("redis", "rediss"), lambda: RedisTransport))
    amqp_message.install()
    celeryd_init.connect(_prepare_worker, weak=False)
    worker_process_init.connect(_begin_child, weak=False)
    worker_process_shutdown.connect(_end_child, weak=False)
    breakers.count_as_unavailable(SoftTimeLimitExceeded)
    reset_after_fork()


def configure_logging() -> None:
    """Let the workers of this process log as `LOG_LEVEL` and `LOG_FORMAT` say, and not as Celery
    configures it.
    """
    setup_logging.connect(_keep_logging, weak=False)
    celeryd_init.connect(_configure_logging, weak=False)


def _add_defaults(sender: Celery, source: Any, **_: Any) -> None:
    source.add_defaults(celery_defaults(source.broker_url))


def _add_queues(names: Set[str], sender: Celery, **_: Any) -> None:
    """Declare the queues that the app's own settings do not name."""
    known: Any = sender.amqp.queues
    missing = names - known.keys()
    for queue in queues(missing, quorum=is_amqp(str(sender.conf.broker_url))):
        known.add(queue)


def _set_time_limits(sender: Celery, **_: Any) -> None:
    """Set the limits of the deliveries; the environment is not read before the app is used."""
    for name in registered().keys() & sender.tasks.keys():
        task: Any = sender.tasks[name]
        task.soft_time_limit = settings().task_soft_time_limit
        task.time_limit = settings().task_time_limit


def _prepare_worker(**_: Any) -> None:
    logs.log_through_logging()
    loading.start()


def _begin_child(**_: Any) -> None:
    count_flush.flush_regularly()


def _end_child(**_: Any) -> None:
    """Write and hand over what a child of the pool has: it ends without `atexit`."""
    count_flush.flush_or_log()
    observers.close()


def _configure_logging(sender: str, **_: Any) -> None:
    logs.configure(sender)


def _keep_logging(**_: Any) -> None:
    """Keep Celery from configuring logging, which it does unless this signal has a receiver."""


class DeadLettered(Exception):
    """The task ends as FAILURE: a delivery of its message is dead. The ledger has the reason."""


class RetryScheduled(Exception):
    """The task ends as RETRY: the ledger sends a delivery of its message again."""


def _task(subscription: Subscription) -> Callable[[Task[Any, Any], list[str]], str]:
    def run(task: Task[Any, Any], ids: list[str]) -> str:
        redelivered = bool((task.request.delivery_info or {}).get("redelivered"))
        worker, event_ids = task.request.hostname or "", [UUID(event_id) for event_id in ids]
        try:
            with time_limited(subscription.name, event_ids, worker):
                report = dispatch(subscription, event_ids, worker=worker, suspect=redelivered)
        except Exception as error:
            if not is_transient(error):
                raise
            reason = f"database: {describe_error(error)}; the ledger sends again after the lease"
            raise Retry(exc=RetryScheduled(reason)) from error
        if report.count(Result.DEAD):
            raise DeadLettered(str(report))
        if report.count(Result.RETRYING):
            wait: Any = report.wait  # numbers.Real in the stubs, which a float is not for mypy
            raise Retry(str(report), exc=RetryScheduled(str(report)), when=wait)
        return str(report)

    run.__doc__ = subscription.handler.__doc__
    return run
