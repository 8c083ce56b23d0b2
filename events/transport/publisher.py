"""The publisher's side: messages go to the broker in batches, each encoded once."""

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from celery import Celery

from events.errors import BrokerBlocked, BrokerDown, QueueUnavailable
from events.messages import Message, TaskMessage
from events.transport import broker_queues, dead_queue, queue_errors, task_limits
from events.transport.broker_queues import queues
from events.transport.confirms import LATE_AFTER
from events.transport.link import Link, PublishingLink
from events.transport.protocol import encode

DROPPED_LATELY = 120.0  # seconds; what was dropped is sent again, and dropped again, earlier
Result = TypeVar("Result")
AnyMessage = Message | TaskMessage


class CeleryTransport:
    """The transport over a Celery app's broker.

    One queue is not the broker: what the broker refuses for one queue is returned or raised as
    `QueueUnavailable`, and costs the others nothing.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._publishing = PublishingLink(app)
        self._asking = Link(app)
        self._dead_queue: dead_queue.DeadQueue | None = None
        self._declared: set[str] = set()
        self._dropped: dict[str, tuple[float, QueueUnavailable]] = {}
        self._misdeclared: dict[str, QueueUnavailable] = {}
        self._unavailable: set[str] = set()  # since their last message
        self._origin = f"relay@{socket.gethostname()}"

    @property
    def address(self) -> str:
        """The broker's URL, without its password."""
        return str(self._app.connection_for_write().as_uri())

    def connect(self) -> None:
        """Connect, unless connected, and declare again what was declared.

        Raises `BrokerDown`; if only publishing fails, last.
        """
        with suppress(QueueUnavailable):  # `drain_dead_queue` reports it
            self.ask(dead_queue.NAME, self._open_dead_queue)
        known = self._declared | self._misdeclared.keys()
        self._declared = self.with_channel(partial(broker_queues.usable, names=known))
        self._misdeclared = self._declare(known)
        self._publishing.connect()
        with self._publishing.guarded():
            self._publishing.check_writable()

    def send(self, messages: Sequence[Message]) -> dict[str, QueueUnavailable]:
        """Hand all messages to the broker; return the queues that did not take theirs, and why.

        Raises `BrokerDown`. Queues that were unavailable the last time are tried by themselves.
        """
        return self._send(messages)

    def send_tasks(self, messages: Sequence[TaskMessage]) -> dict[str, QueueUnavailable]:
        """Hand messages for ordinary tasks to the broker, as `send` does.

        The queues of other apps are not declared, because they know how. Where there is none yet,
        RabbitMQ refuses the message, and Redis keeps it.
        """
        sendable = task_limits.without_unsendable(messages)
        return queue_errors.with_absent(self._send(sendable), self._app.amqp.queues)

    def _send(self, messages: Sequence[AnyMessage]) -> dict[str, QueueUnavailable]:
        known: Any = self._app.amqp.queues
        refused = self._declare(
            {each.queue for each in messages if isinstance(each, Message) or each.queue in known}
        )
        apart = {each.queue for each in messages} & (self._unavailable - refused.keys())
        together = [each for each in messages if each.queue not in refused.keys() | apart]
        refused |= self._flush(together) if together else {}
        for queue in sorted(apart):
            refused |= self._flush([e for e in messages if e.queue == queue], LATE_AFTER)
        self._unavailable -= {message.queue for message in messages}
        self._unavailable |= refused.keys()
        self._declared -= refused.keys()
        return refused

    def waiting(self, queue: str) -> int:
        """Return the number of messages ready on `queue`.

        Raises `BrokerDown`, and `QueueUnavailable`.
        """
        return self.ask(queue, lambda channel: self._count(channel, queue))

    def exists(self, queue: str) -> bool:
        """Tell whether RabbitMQ has a queue. Raises `BrokerDown`, and `QueueUnavailable`."""
        return self.ask(queue, lambda channel: broker_queues.exists(channel, queue))

    def ask(self, queue: str, function: Callable[[Any], Result]) -> Result:
        """Return the result of `function`, a question about `queue`, for a channel.

        Raises `QueueUnavailable` if the broker refuses it, else `BrokerDown`.
        """
        try:
            return self._asking.ask(queue, function)
        except BrokerDown:
            self.close()
            raise

    def with_channel(self, function: Callable[[Any], Result]) -> Result:
        """Return the result of `function` for a channel.

        Raises `BrokerDown`, also if the broker refuses.
        """
        with self._asking.guarded():
            return function(self._asking.connect())

    def faults(self) -> dict[str, QueueUnavailable]:
        """Return the queues that were declared elsewhere, or that dropped messages lately."""
        now = time.monotonic()
        if self._dead_queue:
            for queue, reason in self._dead_queue.dropped.items():
                if queue in self._app.amqp.queues:  # any publisher can forge the header
                    self._dropped[queue] = now, queue_errors.dropping(queue, reason)
            self._dead_queue.dropped.clear()
        self._dropped = {
            queue: (at, error)
            for queue, (at, error) in self._dropped.items()
            if now < at + DROPPED_LATELY
        }
        return {queue: error for queue, (_, error) in self._dropped.items()} | self._misdeclared

    def drain_dead_queue(self) -> int:
        """Quarantine what RabbitMQ dead-lettered; Redis has no dead queue.

        Raises `BrokerDown`, and `QueueUnavailable`.
        """
        return self.ask(dead_queue.NAME, self._drain)

    def close(self) -> None:
        """Close the connections; never raises."""
        self._publishing.close()
        self._asking.close()
        self._declared.clear()

    def _flush(
        self, messages: Sequence[AnyMessage], timeout: float | None = None
    ) -> dict[str, QueueUnavailable]:
        """Publish messages together; by queue, if the broker does not say which it refuses."""
        queues = sorted({message.queue for message in messages})
        try:
            return self._publish_and_wait(messages, timeout)
        except BrokerBlocked:
            raise  # its connection stays: it reports the end of the alarm
        except self._publishing.errors() as error:
            self._publishing.close()
            if not queue_errors.concerns_one_queue(error):
                self._declared.clear()
                raise queue_errors.broker_error(error) from error
            self._publishing.connect()
            if len(queues) == 1:
                return {queues[0]: queue_errors.unavailable(queues[0], error)}
        return {
            queue: refusal
            for each in queues
            for queue, refusal in self._flush(
                [message for message in messages if message.queue == each], LATE_AFTER
            ).items()
        }

    def _publish_and_wait(
        self, messages: Sequence[AnyMessage], timeout: float | None
    ) -> dict[str, QueueUnavailable]:
        link = self._publishing
        link.connect()
        link.check_blocked()
        if link.confirms:
            link.confirms.reset()
        with link.producer.batch(max_size=max(1, len(messages))):
            for message in messages:
                self._publish(link, message)
        if link.confirms is None:
            return {}
        refused = link.confirms.wait(timeout)
        if link.confirms.outdated:  # a new channel asks the queue again, and is told at once
            link.close()
            link.connect()
        return refused

    def _publish(self, link: PublishingLink, message: AnyMessage) -> None:
        link.check_blocked()
        if isinstance(message, Message):
            body, headers = encode(message, origin=self._origin)
        else:
            body, headers = message.body.encode(), message.headers
        link.producer.publish(
            body,
            # The default exchange needs no binding. On Redis a binding is a key, lost when the
            # broker is emptied; every later message would vanish until a worker declared it again.
            exchange="",
            routing_key=message.queue,
            headers=headers,
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=message.id,
            delivery_mode=2,
            mandatory=link.confirms is not None,
            priority=None if isinstance(message, Message) else message.priority,
        )
        if link.confirms:
            link.confirms.expect(message.queue)

    def _declare(self, names: Iterable[str]) -> dict[str, QueueUnavailable]:
        """Declare the queues that are not yet; return those that the broker refuses to declare."""
        refused = {}
        for name in sorted(set(names) - self._declared):
            try:
                self.ask(name, partial(self._queue, name))
            except QueueUnavailable as error:
                refused[name] = error
            else:
                self._declared.add(name)
        return refused

    def _queue(self, name: str, channel: Any) -> None:
        known = self._app.amqp.queues.get(name) or queues([name], quorum=self._asking.amqp)[0]
        known(channel).declare()

    def _count(self, channel: Any, queue: str) -> int:
        if not self._asking.amqp:  # on Redis an empty queue does not exist
            return int(channel.queue_declare(queue=queue).message_count)
        if not broker_queues.exists(channel, queue):  # deleted, or not declared yet
            self._queue(queue, channel)
            return 0
        return broker_queues.count_ready(channel, queue)

    def _open_dead_queue(self, channel: Any) -> dead_queue.DeadQueue | None:
        if self._asking.amqp and (self._dead_queue is None or self._dead_queue.channel != channel):
            self._dead_queue = None
            self._dead_queue = dead_queue.DeadQueue(channel)
        return self._dead_queue

    def _drain(self, channel: Any) -> int:
        opened = self._open_dead_queue(channel)
        return opened.drain() if opened else 0
