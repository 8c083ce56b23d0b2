"""RabbitMQ's publisher confirms, waited for once a batch instead of once a message.

Without confirms a killed broker loses messages that it had accepted; waiting for each one takes six
sevenths of the throughput (https://www.rabbitmq.com/docs/confirms#publisher-confirms).
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from amqp import Message

from events.errors import BrokerDown, QueueUnavailable
from events.transport import queue_errors

CONFIRM_TIMEOUT = 3.0  # seconds without any confirm
NO_QUEUE = "tidings.nothing"  # a message to it is confirmed and dropped
LATE_AFTER = 1.0  # seconds without a confirm, when messages of another queue were confirmed


class Confirms:
    """The confirms of one channel: those that are expected against those that arrived.

    Each message is remembered with its queue, so that a refusal is that of one queue. `check`
    raises an error when the wait is vain.
    """

    def __init__(self, channel: Any, check: Callable[[], None] = lambda: None) -> None:
        self._channel, self._check = channel, check
        self._next_tag = 1
        self._unconfirmed: dict[int, str] = {}
        self._confirmed = False  # any, since the last wait
        self.outdated = False  # the channel remembers that a queue was full, or waits for a leader
        self._refusals: dict[str, QueueUnavailable] = {}
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def expect(self, queue: str) -> None:
        """Count one message that was published to `queue`."""
        self._unconfirmed[self._next_tag] = queue
        self._next_tag += 1

    def wait(self, timeout: float | None = None) -> dict[str, QueueUnavailable]:
        """Wait until the broker has answered for every message; return the queues that refused.

        A queue is late that confirms nothing for `timeout` seconds, or for less if others confirm:
        their messages must not wait for it.
        """
        begun = time.monotonic()
        unconfirmed = len(self._unconfirmed)
        while self._unconfirmed:
            self._check()
            seconds = timeout or (LATE_AFTER if self._confirmed else CONFIRM_TIMEOUT)
            left = begun + seconds - time.monotonic()
            if left <= 0:
                self._give_up(seconds)
                break
            with suppress(TimeoutError):  # the check above reports it with its cause
                self._channel.connection.drain_events(timeout=left)
            if len(self._unconfirmed) < unconfirmed:
                begun, unconfirmed = time.monotonic(), len(self._unconfirmed)
        return self.reset()

    def reset(self) -> dict[str, QueueUnavailable]:
        """Expect no confirm any more; return the queues that refused a message."""
        refusals, self._refusals, self._confirmed = self._refusals, {}, False
        self._unconfirmed.clear()
        return refusals

    def _give_up(self, seconds: float) -> None:
        self.outdated = True
        for queue in self._unconfirmed.values():
            self._refusals[queue] = queue_errors.late(queue, seconds)

    def _settle(self, tag: int, *, multiple: bool) -> list[str]:
        tags = [each for each in self._unconfirmed if each <= tag] if multiple else [tag]
        return [self._unconfirmed.pop(each) for each in tags if each in self._unconfirmed]

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._confirmed |= bool(self._settle(tag, multiple=multiple))

    def _on_nack(self, tag: int, multiple: bool) -> None:
        for queue in self._settle(tag, multiple=multiple):
            self.outdated = True
            self._refusals[queue] = queue_errors.full(queue)

    def _on_return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        self._refusals[routing_key] = queue_errors.missing(routing_key)


def check_confirms(channel: Any, timeout: float) -> None:
    """Publish to no queue and wait for the confirms. Raises `BrokerDown`.

    A RabbitMQ that has run out of memory or disk accepts connections, answers questions and
    confirms one message; then it stops reading. Hence two messages. A queue for them would need a
    right and room that nothing else needs.
    """
    own = channel.connection.channel()
    confirms = Confirms(own)
    for _ in range(2):
        own.basic_publish(Message(b""), routing_key=NO_QUEUE)
        confirms.expect(NO_QUEUE)
        if confirms.wait(timeout):
            raise BrokerDown(
                f"1 published and unconfirmed for {timeout:g} s; "
                "is the broker out of memory or disk?"
            )
    own.close()
