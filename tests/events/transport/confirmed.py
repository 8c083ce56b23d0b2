"""Publishing by tests: a queue that is being declared has no leader yet, or is not there at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Connection

from events.transport.confirms import Confirms
from tests.servers import wait_until


class ConfirmedChannel:
    """A channel on which a message is published until the broker has taken it."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self._confirms = Confirms(channel) if hasattr(channel, "confirm_select") else None

    def publish(self, publish: Callable[..., object], *args: Any, **options: Any) -> None:
        """Call a publishing method of kombu or py-amqp until the message is confirmed."""

        def taken() -> bool:
            publish(*args, **options, mandatory=True)
            if self._confirms:
                self._confirms.expect("any")
                return not self._confirms.wait(10)
            return True

        wait_until(taken, what="a confirmed message")


@contextmanager
def confirmed_channel(url: str) -> Iterator[ConfirmedChannel]:
    """Yield a channel on a connection of its own."""
    with Connection(url) as connection:
        yield ConfirmedChannel(connection.channel())
