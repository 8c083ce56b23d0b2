"""Bootsteps of the worker: a short lock timeout for the prefork parent, and the heartbeat."""

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from celery.bootsteps import StartStopStep, Step
from celery.concurrency.prefork import TaskPool
from celery.worker.consumer.tasks import Tasks
from sqlalchemy.exc import SQLAlchemyError

from events import count_flush, heartbeat
from events.admin import subscriptions, worker_versions
from events.app_version import app_version
from events.database import own, use
from events.db_errors import describe_error
from events.subscriptions import registered

logger = structlog.get_logger("tidings.transport")

LOCK_TIMEOUT = 1.0  # seconds
TOUCH_INTERVAL = 60.0  # seconds between two notes of the subscriptions that a worker serves


class ShortLockTimeout(Step):
    """A short lock timeout in the prefork parent.

    While the parent blocks it cannot enforce time limits, and on SQLite the overrunning child may
    hold that very lock.
    """

    def include_if(self, worker: Any) -> bool:
        """Return false for the other pools: their handlers run in this process."""
        return issubclass(worker.pool_cls, TaskPool)

    def create(self, worker: Any) -> None:
        """Open the parent's database; the children are forked later and open their own."""
        use(own(lock_timeout=LOCK_TIMEOUT))


class Heartbeat(StartStopStep):
    """The worker's heartbeat: a row while it consumes, none once it stopped or lost its broker."""

    requires = (Tasks,)

    _timers: Sequence[Any] = ()
    _recorded: frozenset[str] = frozenset()  # queues; a lost broker starts this step again

    def start(self, consumer: Any) -> None:
        """Record the subscriptions that this worker serves, and begin to beat."""
        version = app_version()

        def touch() -> None:
            names = _consumed(consumer)
            subscriptions.touch([each for each in registered().values() if each.queue in names])

        def beat() -> None:
            slots = consumer.controller.concurrency
            names = _consumed(consumer)
            heartbeat.beat(consumer.hostname, "worker", names, slots=slots, version=version)
            if version and (new := [each for each in names if each not in self._recorded]):
                worker_versions.record(new, version)
                self._recorded = self._recorded.union(new)
            count_flush.flush()  # of all pools but prefork, whose children do it

        self._timers = [
            self._repeat(consumer, TOUCH_INTERVAL, touch),
            self._repeat(consumer, heartbeat.INTERVAL, beat),
        ]

    def stop(self, consumer: Any) -> None:
        """Stop beating and delete the row."""
        for timer in self._timers:
            timer.cancel()
        count_flush.flush_or_log()
        _log_database_errors(lambda: heartbeat.leave(consumer.hostname))

    def _repeat(self, consumer: Any, seconds: float, action: Callable[[], None]) -> Any:
        _log_database_errors(action)
        return consumer.timer.call_repeatedly(seconds, _log_database_errors, (action,))


def _consumed(consumer: Any) -> list[str]:
    """Return the queues that the worker consumes now: the broker may have refused some before."""
    return sorted(queue.name for queue in consumer.task_consumer.queues)


def _log_database_errors(action: Callable[[], None]) -> None:
    try:
        action()
    except SQLAlchemyError as error:
        logger.warning("heartbeat.missed", detail=describe_error(error))
