"""Delayed delivery by RabbitMQ, for ordinary tasks with a countdown or an eta.

Such a message waits in one of Celery's queues at the broker, and reaches the queue of its task only
if that is bound to Celery's exchange.
https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/rabbitmq.html
"""

import re
from typing import Any

import structlog
from amqp.exceptions import NotFound
from celery.worker.consumer import delayed_delivery
from kombu.common import Broadcast
from kombu.transport.native_delayed_delivery import bind_queue_to_native_delayed_delivery_exchange

_DELAY = re.compile(r"^(?:[01]\.){28}")

logger = structlog.get_logger("tidings.transport")


class DelayedDelivery(delayed_delivery.DelayedDelivery):
    """Celery's step, which binds those queues of the app that exist.

    Each worker binds its own, after it has declared them. Celery's step takes every other one that
    no worker has declared yet for a failure, and reports as critical that nothing can be delayed.
    """

    def _bind_queues(self, app: Any, connection: Any) -> None:
        for queue in app.amqp.queues.values():
            if not isinstance(queue, Broadcast):
                bind(connection, queue)


def queue_of(routing_key: str) -> str:
    """Return the queue that a message was sent to: a delay is in front of it, digit by digit."""
    return _DELAY.sub("", routing_key)


def bind(connection: Any, queue: Any) -> None:
    """Bind a queue, if it exists, so that delayed messages reach it."""
    try:
        bind_queue_to_native_delayed_delivery_exchange(connection, queue)
    except NotFound:  # of the queue or its exchange; it has closed the channel only
        logger.debug("queue.not_bound", queue=queue.name, note="its own worker binds it")
