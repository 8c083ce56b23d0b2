"""Links to the broker: connections that are made when they are needed and closed when they fail.

RabbitMQ stops reading from a connection that published, as long as it is out of memory or disk. So
one link publishes, and another one asks: it goes on whatever becomes of the first.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import structlog
from celery import Celery
from kombu import Producer
from kombu.exceptions import KombuError
from redis.exceptions import NoPermissionError

from events.errors import BrokerBlocked, BrokerDown
from events.transport import queue_errors
from events.transport.confirms import Confirms

logger = structlog.get_logger("tidings.transport")
Result = TypeVar("Result")

CONNECT_TIMEOUT = 5  # seconds
CLOSE_TIMEOUT = 1.0  # seconds
_NO_KEY = "tidings.nothing"
SOCKET_TIMEOUT = 5.0  # seconds; RabbitMQ answers in milliseconds, unless it is frozen


class Link:
    """One connection with one channel."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Any = None
        self._channel: Any = None

    @property
    def amqp(self) -> bool:
        """Tell whether the broker is RabbitMQ. The link must be connected."""
        return hasattr(self._channel, "confirm_select")

    def connect(self) -> Any:
        """Connect, unless connected; return the channel. Raises `BrokerDown`."""
        if self._channel is None:
            with self.guarded():
                connection: Any = self._app.connection_for_write()
                if connection.transport.driver_type == "amqp":
                    connection.transport_options = {
                        **connection.transport_options,
                        **self._options(),
                    }
                connection.ensure_connection(
                    max_retries=1, interval_start=0, interval_step=0, timeout=CONNECT_TIMEOUT
                )
                self._connection, self._channel = connection, connection.channel()
                self._opened()
        return self._channel

    def ask(self, queue: str, function: Callable[[Any], Result]) -> Result:
        """Return the result of `function` for the channel.

        Raises `QueueUnavailable` if the broker refuses it and can be reached still, else
        `BrokerDown`.
        """
        channel = self.connect()
        try:
            return function(channel)
        except self.errors() as error:
            self.close()
            if not queue_errors.concerns_one_queue(error):
                raise queue_errors.broker_error(error) from error
            self.connect()
            raise queue_errors.unavailable(queue, error) from error

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Close the link on an error of the broker, and raise it as `BrokerDown`."""
        try:
            yield
        except self.errors() as error:
            if isinstance(error, BrokerBlocked):
                raise  # the connection stays: it reports the end of the alarm
            self.close()
            raise queue_errors.broker_error(error) from error

    def close(self) -> None:
        """Close the connection; never raises."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            try:
                connection.collect(socket_timeout=CLOSE_TIMEOUT)
            except Exception as error:
                logger.debug("broker.close_failed", error=repr(error))

    def _options(self) -> dict[str, Any]:
        return {"read_timeout": SOCKET_TIMEOUT, "write_timeout": SOCKET_TIMEOUT}

    def _opened(self) -> None:
        """Prepare the new channel."""

    def errors(self) -> tuple[type[BaseException], ...]:
        """Return every class of error by which kombu reports that the broker failed or refused."""
        connection: Any = self._app.connection_for_write()
        return (
            OSError,
            KombuError,
            BrokerDown,
            *connection.connection_errors,
            *connection.channel_errors,
        )


class PublishingLink(Link):
    """The link that publishes, with its confirms and the blockade of its connection."""

    producer: Any = None  # a kombu Producer; the stubs do not know batch()
    confirms: Confirms | None = None
    _blocked = False

    def check_blocked(self) -> None:
        """Raise `BrokerBlocked` while RabbitMQ accepts no messages on this connection."""
        if not self._blocked:
            return
        with suppress(TimeoutError):
            while self._blocked:
                self._connection.drain_events(timeout=0)
        if self._blocked:
            raise BrokerBlocked(
                "RabbitMQ accepts no messages: it is out of memory or disk space",
                "run `rabbitmq-diagnostics alarms`, then free memory or disk space, or raise its "
                "limits",
            )

    def check_writable(self) -> None:
        """Raise `BrokerBlocked` while the broker accepts no messages.

        Redis says so to whoever writes: LPUSHX writes nothing where there is no key.
        """
        if self.amqp:
            self.check_blocked()
            return
        with suppress(NoPermissionError):  # of this key, which nobody else needs
            self._channel.client.lpushx(_NO_KEY, "")

    def _options(self) -> dict[str, Any]:
        return super()._options() | {"on_blocked": self._block, "on_unblocked": self._unblock}

    def _opened(self) -> None:
        self._blocked = False
        self.producer = Producer(self._channel)
        self.confirms = Confirms(self._channel, self.check_blocked) if self.amqp else None

    def _block(self, reason: str) -> None:
        self._blocked = True

    def _unblock(self) -> None:
        self._blocked = False
