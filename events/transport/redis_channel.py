"""A Redis channel that keeps what is no message at all: raw garbage in a queue's list ends a stock worker before any hook of Celery's.

`transport.install` names it as the transport of `redis://`.
"""

import time
from typing import Any

from kombu.transport import redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from sqlalchemy.exc import SQLAlchemyError

from events.transport.quarantine import keep

PATIENCE = 1.0  # seconds before garbage that the store did not take is looked at again
BRACKETS = 100  # an envelope of kombu's has a dozen; a thousand, one in the other, end the worker that writes them down


class Channel(redis.Channel):
    """Looks at each item that BRPOP returns before kombu does."""

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)  # type: ignore[misc]  # the stubs leave it out
        client.set_response_callback("BRPOP", self._sift)
        return client

    def _sift(self, answer: Any) -> Any:
        """BRPOP's answer, or nothing when the item was no message."""
        if not answer:
            return None
        key, item = answer
        queue = bytes_to_str(key).rsplit(self.sep, 1)[0]
        if queue.endswith(
            ".pidbox"
        ):  # Celery's remote control: its replies are addressed in another way
            return answer
        try:
            self._check(item, queue)
        except Exception as error:  # whatever it is that kombu raises here, it would raise again and end the worker
            self._keep(key, item, queue, error)
            return None
        return key, item

    def _check(self, item: bytes, queue: str) -> None:
        if item.count(b"[") + item.count(b"{") > BRACKETS:
            raise ValueError("too many brackets for an envelope")
        message = self.Message(loads(bytes_to_str(item)), channel=self)
        where = message.delivery_info
        if where["exchange"] not in ("", queue) or where["routing_key"] != queue:
            raise ValueError("its delivery info names another queue")
        if not isinstance(message.delivery_tag, str) or not isinstance(message.body, bytes | None):
            raise TypeError("its delivery tag or body is not text")

    def _keep(self, key: bytes, item: bytes, queue: str, error: Exception) -> None:
        try:
            keep(queue, "not a message", item, error=error)
        except SQLAlchemyError:
            with self.conn_or_acquire() as client:
                client.lpush(key, item)
            time.sleep(PATIENCE)


class Transport(redis.Transport):
    """kombu's transport for Redis with the channel above."""

    Channel = Channel
