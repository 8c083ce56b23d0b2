"""Publisher confirms of RabbitMQ, waited for once a batch instead of once a message.

Without confirms a killed broker loses what it had accepted; waiting for each costs six messages of seven per second
(https://www.rabbitmq.com/docs/confirms#publisher-confirms).
"""

import time
from contextlib import suppress
from typing import Any

from amqp import Message

from events.errors import BrokerDown


class Confirms:
    """Counts the publishes of one channel against the broker's answers."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._next = 1
        self._open: set[int] = set()
        self._refused: list[str] = []
        channel.confirm_select()
        channel.events["basic_ack"].add(self._acked)
        channel.events["basic_nack"].add(self._nacked)
        channel.events["basic_return"].add(self._returned)

    def expect(self) -> None:
        """One message was published."""
        self._open.add(self._next)
        self._next += 1

    def wait(self, timeout: float) -> None:
        """Until the broker has answered for every message, `timeout` seconds at most. Raises `BrokerDown` if it refused any."""
        deadline = time.monotonic() + timeout
        while self._open:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BrokerDown(
                    f"{len(self._open)} published and unconfirmed for {timeout:g} s; is the broker out of memory or disk?"
                )
            with suppress(TimeoutError):  # said above, in words
                self._channel.connection.drain_events(timeout=left)
        refused, self._refused = self._refused, []
        if refused:
            raise BrokerDown(f"the broker refused {len(refused)} messages: {refused[0]}")

    def _acked(self, tag: int, multiple: bool) -> None:
        self._open = {each for each in self._open if each > tag} if multiple else self._open - {tag}

    def _nacked(self, tag: int, multiple: bool) -> None:
        self._refused.append("the queue is full or has no leader")
        self._acked(tag, multiple)

    def _returned(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        self._refused.append(f"no queue {routing_key!r} is bound to exchange {exchange!r}")


def prove(channel: Any, timeout: float) -> None:
    """Publish to a queue of one's own and wait for the confirm, `timeout` seconds at most. Raises `BrokerDown`.

    A RabbitMQ that has run out of memory or disk takes connections, answers questions and confirms one message; then it stops
    reading. So there are two.
    """
    own = channel.connection.channel()
    queue = own.queue_declare(exclusive=True, auto_delete=True).queue
    confirms = Confirms(own)
    for _ in range(2):
        own.basic_publish(Message(b""), routing_key=queue, mandatory=True)
        confirms.expect()
        confirms.wait(timeout)
    own.close()
