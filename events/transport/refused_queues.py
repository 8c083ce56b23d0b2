"""Queues that the broker refuses to a worker of several: it consumes the others meanwhile."""

from functools import partial
from typing import Any

import structlog

from events.errors import BrokerDown, QueueUnavailable
from events.transport import broker_queues, delayed_delivery
from events.transport.link import Link

logger = structlog.get_logger("tidings.transport")

RETRY_DELAY = 2.0  # seconds


class RefusedQueues:
    """The queues that a worker was to consume and that the broker refuses.

    Celery declares all of a worker's queues in one go, which one refusal ends. So each is tried
    beforehand on a connection of its own, and those that are refused are left out until they are
    not. If all are, or there is one only, Celery reports the error.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._queues: Any = consumer.app.amqp.queues
        self._names: set[str] = set()

    def leave_out(self) -> None:
        """Deselect the queues that the broker refuses, before they are consumed."""
        for name in self._names:
            self._queues.select_add(self._queues[name])
        selected = sorted(self._queues.consume_from)
        if len(selected) == 1:
            return
        refused = self._refused(selected)
        if len(refused) == len(selected):
            return
        for name in refused.keys() - self._names:
            logger.error(
                "queue.unavailable",
                queue=name,
                reason=refused[name].reason,
                fix=refused[name].fix,
                note="the other queues of this worker are consumed",
            )
        self._names = set(refused)
        self._queues.deselect(sorted(refused))
        self._try_again_later()

    def _select_again(self) -> None:
        for name in self._names - self._refused(sorted(self._names)).keys():
            self._names.discard(name)
            self._consumer.add_task_queue(name)
        self._try_again_later()

    def _try_again_later(self) -> None:
        if self._names:
            self._consumer.timer.call_after(RETRY_DELAY, self._select_again)

    def _refused(self, names: list[str]) -> dict[str, QueueUnavailable]:
        link, refused = Link(self._consumer.app), {}
        try:
            for name in names:
                try:
                    link.ask(name, partial(self._declare, name))
                except QueueUnavailable as error:
                    refused[name] = error
        except BrokerDown as error:  # Celery finds out by itself, and waits
            logger.debug("broker.down", error=str(error))
        link.close()
        return refused

    def _declare(self, name: str, channel: Any) -> None:
        self._queues[name](channel).declare()
        if hasattr(channel, "confirm_select"):
            broker_queues.count_ready(channel, name)
            # Celery binds what it could declare when the worker started.
            delayed_delivery.bind(channel.connection, self._queues[name])
