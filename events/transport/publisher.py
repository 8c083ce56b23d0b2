"""The publisher's side: messages go to the broker in batches, each encoded once."""

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog
from celery import Celery
from kombu import Exchange, Producer, Queue
from kombu.exceptions import KombuError

from events.errors import BrokerDown
from events.messages import Message
from events.transport import dead_queue
from events.transport.confirms import Confirms
from events.transport.protocol import encode

logger = structlog.get_logger("tidings.transport")
Result = TypeVar("Result")

CONFIRM_TIMEOUT = 10.0  # seconds
CONNECT_TIMEOUT = 5  # seconds
CLOSE_TIMEOUT = 1.0  # seconds


def queues(names: Iterable[str], *, quorum: bool) -> list[Queue]:
    """Return one queue per name, each on a direct exchange of its own.

    On RabbitMQ they are quorum queues, whose dead letters go to the dead queue.
    """
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": dead_queue.NAME,
        "x-dead-letter-routing-key": dead_queue.NAME,
        "x-dead-letter-strategy": "at-least-once",
    }
    chosen = arguments if quorum else None
    return [
        Queue(name, Exchange(name, type="direct"), routing_key=name, queue_arguments=chosen)
        for name in sorted(set(names))
    ]


class CeleryTransport:
    """The transport over a Celery app's broker.

    Its one connection is made when it is needed and closed when it fails.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._producer: Any = None  # a kombu Producer; the stubs do not know batch()
        self._confirms: Confirms | None = None
        self._dead_queue: dead_queue.DeadQueue | None = None
        self._declared: set[str] = set()
        self._origin = f"relay@{socket.gethostname()}"

    @property
    def address(self) -> str:
        """The broker's URL, without its password."""
        return str(self._app.connection_for_write().as_uri())

    def connect(self) -> None:
        """Connect, unless connected. Raises `BrokerDown`."""
        with self._guarded():
            self._connected()

    def send(self, messages: Sequence[Message]) -> None:
        """Hand all messages to the broker and wait for its confirms. Raises `BrokerDown`."""
        with self._guarded():
            producer = self._connected()
            for queue in {message.queue for message in messages}:
                self._declare(queue)
            with producer.batch(max_size=max(1, len(messages))):
                for message in messages:
                    self._publish(producer, message)
            if self._confirms:
                self._confirms.wait(CONFIRM_TIMEOUT)

    def waiting(self, queue: str) -> int:
        """Return the number of messages ready on `queue`. Raises `BrokerDown`."""
        with self._guarded():
            channel = self._connected().channel
            self._declare(queue)
            # On Redis an empty queue does not exist, so only RabbitMQ may be asked passively.
            ready: int = channel.queue_declare(
                queue=queue, passive=self._confirms is not None
            ).message_count
        return ready

    def with_channel(self, function: Callable[[Any], Result]) -> Result:
        """Return the result of `function` for the connection's channel.

        Raises `BrokerDown`, also if the broker refuses.
        """
        with self._guarded():
            return function(self._connected().channel)

    def drain_dead_queue(self) -> int:
        """Quarantine what RabbitMQ dead-lettered; Redis has no dead queue. Raises `BrokerDown`."""
        with self._guarded():
            self._connected()
            return self._dead_queue.drain() if self._dead_queue else 0

    def close(self) -> None:
        """Close the connection; never raises."""
        producer = self._producer
        self._producer = self._confirms = self._dead_queue = None
        self._declared.clear()
        if producer is not None:
            try:
                producer.connection.collect(socket_timeout=CLOSE_TIMEOUT)
            except Exception as error:
                logger.debug("broker.close_failed", error=repr(error))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except self._errors() as error:
            self.close()
            if isinstance(error, BrokerDown):
                raise
            raise BrokerDown(f"{type(error).__name__}: {error}") from error

    def _errors(self) -> tuple[type[BaseException], ...]:
        """Return every class of error by which kombu reports that the broker failed or refused."""
        connection: Any = self._app.connection_for_write()
        return (
            OSError,
            KombuError,
            BrokerDown,
            *connection.connection_errors,
            *connection.channel_errors,
        )

    def _connected(self) -> Any:
        if self._producer is None:
            connection = self._app.connection_for_write()
            connection.ensure_connection(
                max_retries=1, interval_start=0, interval_step=0, timeout=CONNECT_TIMEOUT
            )
            channel = connection.channel()
            if hasattr(channel, "confirm_select"):
                self._dead_queue = dead_queue.DeadQueue(channel)
                self._confirms = Confirms(channel)
            self._producer = Producer(channel)
        return self._producer

    def _declare(self, queue: str) -> None:
        if queue not in self._declared and self._producer is not None:
            known = (
                self._app.amqp.queues.get(queue)
                or queues([queue], quorum=self._confirms is not None)[0]
            )
            known(self._producer.channel).declare()
            self._declared.add(queue)

    def _publish(self, producer: Any, message: Message) -> None:
        body, headers = encode(message, origin=self._origin)
        producer.publish(
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
            mandatory=self._confirms is not None,
        )
        if self._confirms:
            self._confirms.expect()
