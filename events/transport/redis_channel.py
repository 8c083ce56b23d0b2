"""A Redis channel that quarantines items which are no messages at all.

Raw garbage in a queue's list ends a stock worker before any hook of Celery's consumer runs.
"""

import time
from typing import Any

from kombu.transport import redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from sqlalchemy.exc import SQLAlchemyError

from events.transport.quarantine import quarantine

RETRY_DELAY = 1.0  # seconds until an item that the database did not take is read again

# kombu's envelope has a dozen; a thousand, nested, end the worker when it encodes them again.
MAX_BRACKETS = 100


class Channel(redis.Channel):
    """A channel that checks each item which BRPOP returns before kombu reads it."""

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
        if item.count(b"[") + item.count(b"{") > MAX_BRACKETS:
            raise ValueError("too many brackets for an envelope")
        message = self.Message(loads(bytes_to_str(item)), channel=self)
        where = message.delivery_info
        if where["exchange"] not in ("", queue) or where["routing_key"] != queue:
            raise ValueError("its delivery info names another queue")
        if not isinstance(message.delivery_tag, str) or not isinstance(message.body, bytes | None):
            raise TypeError("its delivery tag or body is not text")

    def _quarantine(self, key: bytes, item: bytes, queue: str, error: Exception) -> None:
        try:
            quarantine(queue, "not a message", item, error=error)
        except SQLAlchemyError:
            with self.conn_or_acquire() as client:
                client.lpush(key, item)
            time.sleep(RETRY_DELAY)


class Transport(redis.Transport):
    """kombu's Redis transport with the channel above."""

    Channel = Channel
