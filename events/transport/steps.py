"""What a worker does beside its tasks, as steps of Celery's start and stop: it says that it lives and what it serves."""

from collections.abc import Callable
from typing import Any

import structlog
from celery.bootsteps import StartStopStep
from celery.worker.consumer.tasks import Tasks
from sqlalchemy.exc import SQLAlchemyError

from events import control, heartbeat
from events.database import in_words
from events.subscriptions import registered

logger = structlog.get_logger("tidings.transport")

SERVING = 60.0  # seconds between two notes of which subscriptions a worker serves


class Pulse(StartStopStep):
    """The worker's heartbeat: a row while it consumes, none when it stopped or lost its broker."""

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        """Say which subscriptions this worker serves, and beat."""
        consumes = {queue.name for queue in consumer.task_consumer.queues}
        serves = [each for each in registered().values() if each.queue in consumes]
        self._timers = [
            self._repeat(consumer, SERVING, lambda: control.seen(serves)),
            self._repeat(consumer, heartbeat.INTERVAL, lambda: heartbeat.beat(consumer.hostname, "worker", sorted(consumes))),
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
            logger.warning("heartbeat.missed", detail=in_words(error))
