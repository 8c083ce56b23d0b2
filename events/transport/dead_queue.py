"""RabbitMQ's own dead queue: where it puts what it delivered too often, until the ledger has it as invalid_messages."""

from typing import Any

from events.transport.quarantine import keep_message

NAME = "tidings.dead"  # of the exchange and of the queue
MOST = 500  # messages taken at one time, so that a flood does not hold up the relay
# A limit there must be: RabbitMQ 4 has one of 20 by default, and here nothing catches what is beyond it.
_ARGUMENTS = {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": 1 << 30}


class DeadQueue:
    """The dead queue, on one channel. It is declared here: a queue whose dead-letter exchange is missing keeps its dead for ever."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._held: Any = None
        channel.exchange_declare(NAME, "direct", durable=True, auto_delete=False)
        channel.queue_declare(NAME, durable=True, auto_delete=False, arguments=_ARGUMENTS)
        channel.queue_bind(NAME, NAME, routing_key=NAME)

    def drain(self) -> int:
        """Keep what lies there as invalid messages; each is acknowledged when its invalid message is committed. Returns how many those were.

        One that the database did not take is held and tried again next time.
        """
        for kept in range(MOST):
            self._held = self._held or self._channel.basic_get(NAME)
            if not self._held:
                return kept
            _keep(self._held)
            self._channel.basic_ack(self._held.delivery_tag)
            self._held = None
        return MOST


def _keep(message: Any) -> None:
    death = _death(message.headers or {})
    queue, reason = (
        str(death.get("queue") or NAME),
        f"given up by the broker: {death.get('reason') or 'unknown'}",
    )
    keep_message(message, queue, reason)


def _death(headers: dict[str, Any]) -> dict[str, Any]:
    """Where and why it died first; anybody can write anything into these headers."""
    deaths = headers.get("x-death")
    first = deaths[-1] if isinstance(deaths, list) and deaths else None
    return first if isinstance(first, dict) else {}
