"""A Redis channel that quarantines items which are no messages, and outlives a failed ack.

Raw garbage in a queue's list ends a stock worker before any hook of Celery's consumer runs. An
acknowledgement that Redis does not take, because it hangs, keeps one from taking more messages.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from sqlalchemy.exc import SQLAlchemyError

from events.transport.quarantine import quarantine

RETRY_DELAY = 1.0  # seconds until an item that the database did not take is read again

# kombu's envelope has a dozen brackets; a thousand, nested, end the worker when it encodes them
# again.
MAX_BRACKETS = 100  # of an item whose depth needs no look
MAX_DEPTH = 50


class QoS(redis.QoS):
    """A count of unacknowledged messages that leaves out those which Redis will give out again.

    kombu counts a message until Redis has taken its acknowledgement, and Celery sends it once. So
    a Redis that hangs for longer than `socket_timeout` would leave a worker that takes one message
    at a time with none, for ever.
    """

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message; one that cannot be comes again after the visibility timeout."""
        with self._counted_out(delivery_tag):
            super().ack(delivery_tag)

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Reject a message; one that cannot be comes again after the visibility timeout."""
        with self._counted_out(delivery_tag):
            super().reject(delivery_tag, requeue=requeue)

    @contextmanager
    def _counted_out(self, delivery_tag: Any) -> Iterator[None]:
        try:
            yield
        finally:
            super(redis.QoS, self).ack(delivery_tag)  # what counts it, without Redis


class Channel(redis.Channel):
    """A channel that checks each item which BRPOP returns before kombu reads it."""

    QoS = QoS
    _kept: tuple[Any, Any] | None = None  # a connection pool and its client

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Return a client; kombu makes one for each operation, an eighth of a worker's parent."""
        if not asynchronous and self._kept is not None and self._kept[0] is self.pool:
            return self._kept[1]
        client = super()._create_client(asynchronous)  # type: ignore[misc]  # not in the stubs
        client.set_response_callback("BRPOP", self._filter_invalid)
        if not asynchronous:
            self._kept = (self.pool, client)
        return client

    def _filter_invalid(self, response: Any) -> Any:
        """Return BRPOP's response, or `None` for an item that is no message."""
        if not response:
            return None
        key, item = response
        queue = bytes_to_str(key).rsplit(self.sep, 1)[0]
        if queue.endswith(".pidbox"):  # Celery's remote control, whose replies have other addresses
            return response
        try:
            self._check(item, queue)
        except Exception as error:  # kombu would raise the same later and end the worker
            self._quarantine(key, item, queue, error)
            return None
        return key, item

    def _check(self, item: bytes, queue: str) -> None:
        envelope = loads(bytes_to_str(item))
        if item.count(b"[") + item.count(b"{") > MAX_BRACKETS and _depth(envelope) > MAX_DEPTH:
            raise ValueError("too deep for an envelope")
        message = self.Message(envelope, channel=self)
        where = message.delivery_info
        if not self._leads_to(queue, where["exchange"], where["routing_key"]):
            raise ValueError("its delivery info names another queue")
        if not isinstance(message.delivery_tag, str) or not isinstance(message.body, bytes | None):
            raise TypeError("its delivery tag or body is not text")

    def _leads_to(self, queue: str, exchange: Any, routing_key: Any) -> bool:
        """Tell whether a message belongs on this queue; of a dead worker kombu puts it back so."""
        if exchange in ("", queue) and routing_key == queue:
            return True
        known = exchange in (self.state.exchanges or ()) and isinstance(routing_key, str)
        return known and queue in self._lookup(exchange, routing_key)

    def _quarantine(self, key: bytes, item: bytes, queue: str, error: Exception) -> None:
        try:
            quarantine(queue, "not a message", item, error=error)
        except SQLAlchemyError:
            with self.conn_or_acquire() as client:
                client.lpush(key, item)
            time.sleep(RETRY_DELAY)


def _depth(value: Any) -> int:
    """Return how deep lists and tables are nested."""
    level, depth = [value], 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        level = [
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return depth


class Transport(redis.Transport):
    """kombu's Redis transport with the channel above."""

    Channel = Channel
