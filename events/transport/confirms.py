"""RabbitMQ's publisher confirms, waited for once a batch instead of once a message.

Without confirms a killed broker loses messages that it had accepted; waiting for each one takes six
sevenths of the throughput (https://www.rabbitmq.com/docs/confirms#publisher-confirms).
"""

import time
from contextlib import suppress
from typing import Any

from amqp import Message

from events.errors import BrokerDown


class Confirms:
    """The confirms of one channel: those that are expected against those that arrived."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._next_tag = 1
        self._unconfirmed: set[int] = set()
        self._refusals: list[str] = []
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def expect(self) -> None:
        """Count one published message."""
        self._unconfirmed.add(self._next_tag)
        self._next_tag += 1

    def wait(self, timeout: float) -> None:
        """Wait until the broker has confirmed every message, for at most `timeout` seconds.

        Raises `BrokerDown` on a timeout, and if the broker refused any.
        """
        deadline = time.monotonic() + timeout
        while self._unconfirmed:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BrokerDown(
                    f"{len(self._unconfirmed)} published and unconfirmed for {timeout:g} s; "
                    "is the broker out of memory or disk?"
                )
            with suppress(TimeoutError):  # the check above reports it with its cause
                self._channel.connection.drain_events(timeout=left)
        refusals, self._refusals = self._refusals, []
        if refusals:
            raise BrokerDown(f"the broker refused {len(refusals)} messages: {refusals[0]}")

    def _on_ack(self, tag: int, multiple: bool) -> None:
        confirmed = {each for each in self._unconfirmed if each <= tag} if multiple else {tag}
        self._unconfirmed -= confirmed

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._refusals.append("the queue is full or has no leader")
        self._on_ack(tag, multiple)

    def _on_return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        self._refusals.append(f"no queue {routing_key!r} is bound to exchange {exchange!r}")


def check_confirms(channel: Any, timeout: float) -> None:
    """Publish to a temporary queue and wait for the confirms. Raises `BrokerDown`.

    A RabbitMQ that has run out of memory or disk accepts connections, answers questions and
    confirms one message; then it stops reading. Hence two messages.
    """
    own = channel.connection.channel()
    queue = own.queue_declare(exclusive=True, auto_delete=True).queue
    confirms = Confirms(own)
    for _ in range(2):
        own.basic_publish(Message(b""), routing_key=queue, mandatory=True)
        confirms.expect()
        confirms.wait(timeout)
    own.close()
