"""What a worker does beside its tasks, as steps of Celery's start and stop: it says that it lives and what it serves."""

from collections.abc import Callable
from typing import Any

import structlog
from celery.bootsteps import StartStopStep, Step
from celery.concurrency.prefork import TaskPool
from celery.worker.consumer.tasks import Tasks
from sqlalchemy.exc import SQLAlchemyError

from events import heartbeat
from events.admin import subscriptions
from events.database import Database, use
from events.db_errors import describe_error
from events.settings import settings
from events.subscriptions import registered

logger = structlog.get_logger("tidings.transport")

LOCK_TIMEOUT = 1.0  # seconds that a pool's parent waits for SQLite's write lock
SERVING = 60.0  # seconds between two notes of which subscriptions a worker serves


class ShortLockTimeout(Step):
    """Lets the parent of a prefork pool wait for nobody's lock: as long as it waits it ends no child that runs over its time limit,
    and on SQLite that child may be the one which holds the lock."""

    def include_if(self, worker: Any) -> bool:
        """In other pools the handlers run in this process."""
        return issubclass(worker.pool_cls, TaskPool)

    def create(self, worker: Any) -> None:
        """The children are forked later, and open the database with all the patience they need."""
        use(Database(settings().database_url, lock_timeout=LOCK_TIMEOUT))


class Heartbeat(StartStopStep):
    """The worker's heartbeat: a row while it consumes, none when it stopped or lost its broker."""

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        """Say which subscriptions this worker serves, and beat."""
        consumes = {queue.name for queue in consumer.task_consumer.queues}
        serves = [each for each in registered().values() if each.queue in consumes]
        self._timers = [
            self._repeat(consumer, SERVING, lambda: subscriptions.touch(serves)),
            self._repeat(
                consumer,
                heartbeat.INTERVAL,
                lambda: heartbeat.beat(consumer.hostname, "worker", sorted(consumes)),
            ),
        ]

    def stop(self, consumer: Any) -> None:
        """End the beat."""
        for timer in self._timers:
            timer.cancel()
        self._quietly(lambda: heartbeat.leave(consumer.hostname))

    def _repeat(self, consumer: Any, seconds: float, action: Callable[[], None]) -> Any:
        self._quietly(action)
        return consumer.timer.call_repeatedly(seconds, self._quietly, (action,))

    def _quietly(self, action: Callable[[], None]) -> None:
        try:
            action()
        except SQLAlchemyError as error:
            logger.warning("heartbeat.missed", detail=describe_error(error))
