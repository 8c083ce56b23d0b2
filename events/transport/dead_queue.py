"""RabbitMQ's dead queue: messages that it delivered too often, until they are in quarantine."""

from typing import Any

import structlog

from events.subscriptions import registered
from events.transport.quarantine import quarantine_message

logger = structlog.get_logger("tidings.transport")

NAME = "tidings.dead"  # of the exchange and of the queue
MAX_DRAINED = 500  # messages taken at one time, so that a flood does not block the relay

# RabbitMQ 4 has a delivery limit of 20 by default, and messages beyond it would be lost here.
_ARGUMENTS = {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": 1 << 30}


class DeadQueue:
    """The dead queue, on one channel.

    It declares the queue: one whose dead-letter exchange is missing never lets go of its dead
    letters.
    """

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.dropped: dict[str, str] = {}  # queues and why, until somebody takes them
        self._unstored: Any = None
        self._declare_exchange()
        channel.queue_declare(NAME, durable=True, auto_delete=False, arguments=_ARGUMENTS)
        self._bind()

    def drain(self) -> int:
        """Quarantine the messages on the queue and return their number.

        Each one is acknowledged once it is committed. A message that the database did not take is
        held, and stored by the next call. The exchange and its binding are made again if somebody
        has deleted them: nothing else would tell, and dead letters would wait in their queues.
        """
        self._declare_exchange()
        self._bind()
        for drained in range(MAX_DRAINED):
            self._unstored = self._unstored or self.channel.basic_get(NAME)
            if not self._unstored:
                return drained
            self._settle(self._unstored)
            self.channel.basic_ack(self._unstored.delivery_tag)
            self._unstored = None
        return MAX_DRAINED

    def _declare_exchange(self) -> None:
        self.channel.exchange_declare(NAME, "direct", durable=True, auto_delete=False)

    def _bind(self) -> None:
        self.channel.queue_bind(NAME, NAME, routing_key=NAME)

    def _settle(self, message: Any) -> None:
        """Quarantine a message, unless its publisher let it expire, or it is sent again."""
        headers = message.headers or {}
        death = _first_death(headers)
        queue, reason = str(death.get("queue") or NAME), str(death.get("reason") or "unknown")
        wanted = "original-expiration" in death  # the publisher's
        if reason in ("maxlen", "expired") and not wanted:
            self.dropped[queue] = reason
        if reason == "expired" and (wanted or headers.get("task") in registered()):
            logger.info("message.expired", queue=queue)
        else:
            quarantine_message(message, queue, f"given up by the broker: {reason}")


def _first_death(headers: dict[str, Any]) -> dict[str, Any]:
    """Return the oldest entry of `x-death`, whose content any publisher can forge.

    Those of the queues in which Celery delays tasks are left out.
    """
    deaths = headers.get("x-death")
    known = [each for each in deaths if isinstance(each, dict)] if isinstance(deaths, list) else []
    found = [each for each in known if not str(each.get("queue")).startswith("celery_delayed_")]
    return found[-1] if found else {}
