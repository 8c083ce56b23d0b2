"""A Redis channel that quarantines items which are no messages, and wakes an idle worker rarely.

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
from redis import DriverInfo, __version__
from redis.exceptions import ResponseError
from sqlalchemy.exc import SQLAlchemyError

from events.transport.quarantine import quarantine

# Seconds of one BRPOP. kombu waits for one: each end wakes an idle worker and the broker. Less than
# the eleven after which kombu takes the connection for dead.
WAIT = 5
BINDINGS_INTERVAL = 60  # seconds between two looks for bindings that expire; an hour at least
RETRY_DELAY = 1.0  # seconds until an item that the database did not take is read again

# What a client says of itself. By default each connection reads the version of its library from the
# files of the package, with the parser of mails: 1 MB of each process (docs/performance.md).
_DRIVER = DriverInfo(lib_version=__version__)

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

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Give out again what a worker has not acknowledged in time, if anything is that old.

        kombu looks under a lock, three commands instead of one each time.
        """
        channel: Any = self.channel
        with channel.conn_or_acquire() as client:
            if client.zcount(self.unacked_index_key, 0, time.time() - self.visibility_timeout):
                super().restore_visible(*args, **kwargs)

    @contextmanager
    def _counted_out(self, delivery_tag: Any) -> Iterator[None]:
        try:
            yield
        finally:
            super(redis.QoS, self).ack(delivery_tag)  # what counts it, without Redis


class Channel(redis.Channel):
    """A channel that checks each item which BRPOP returns before kombu reads it.

    Its BRPOP waits for long, and is ended early when the queues change or the channel is closed.
    """

    QoS = QoS
    connection_errors: Any
    _in_poll: Any  # the connection whose BRPOP waits
    _may_unblock: tuple[Any, bool] = (None, False)  # the id of a connection, and the answer
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

    def _connparams(self, asynchronous: bool = False) -> Any:
        parameters = super()._connparams(asynchronous)  # type: ignore[misc]  # not in the stubs
        return parameters | {"driver_info": _DRIVER}

    def close(self) -> None:
        """Close the channel; kombu reads the answer of a BRPOP first."""
        self._end_wait()
        super().close()

    def _update_queue_cycle(self) -> None:
        super()._update_queue_cycle()  # type: ignore[misc]  # not in the stubs
        self._end_wait()

    def _brpop_start(self, timeout: int | None = None) -> None:
        wait = WAIT if self._can_end_wait(_id_of(self.client.connection)) else None
        super()._brpop_start(timeout or wait)  # type: ignore[misc]

    def _can_end_wait(self, client_id: Any) -> bool:
        """Ask Redis once for each connection: a user of an ACL may not be allowed to."""
        known, answer = self._may_unblock
        if client_id is None or client_id != known:
            answer = client_id is not None and self._unblock(client_id)
            self._may_unblock = client_id, answer
        return answer

    def _end_wait(self) -> None:
        if not self._in_poll or not self._can_end_wait(_id_of(self._in_poll)):
            return
        try:
            self._unblock(_id_of(self._in_poll))
        except self.connection_errors:  # no answer will come either
            self._in_poll = None

    def _unblock(self, client_id: Any) -> bool:
        with self.conn_or_acquire() as client:
            try:
                client.client_unblock(client_id)
            except ResponseError:
                return False
        return True

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


def _id_of(connection: Any) -> Any:
    """Return the id that Redis gave a connection; `None` if it did not say, as before RESP3."""
    said = getattr(connection, "handshake_metadata", None) or {}
    return said.get(b"id", said.get("id"))


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
    """kombu's Redis transport with the channel above, which wakes an idle worker less often."""

    Channel = Channel

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Look once a minute for bindings that expire; kombu looks each second."""
        super().register_with_event_loop(connection, loop)
        cycle: Any = self.cycle
        cycle._binding_expiry_tref.cancel()
        cycle._binding_expiry_tref = loop.call_repeatedly(
            BINDINGS_INTERVAL, cycle.maybe_refresh_binding_expiry
        )
