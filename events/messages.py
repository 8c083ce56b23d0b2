"""The messages that the relay hands to the broker, and the interface of their transport."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True)
class Message:
    """One message to one queue: a subscription and the events that it shall handle, nothing else.

    `label` is shown in Flower and holds no personal data.
    """

    id: str
    subscription: str
    queue: str
    event_ids: tuple[UUID, ...]
    retries: int
    label: str


class Transport(Protocol):
    """A connection to the queues: `CeleryTransport`, and `InMemoryTransport` in tests."""

    def connect(self) -> None:
        """Connect, unless connected. Raises `BrokerDown`."""

    def send(self, messages: Sequence[Message]) -> None:
        """Hand all messages to the broker.

        Raises `BrokerDown`; each of them may have arrived all the same.
        """

    def waiting(self, queue: str) -> int:
        """Return the number of messages on `queue` that no worker has received.

        Raises `BrokerDown`.
        """

    def drain_dead_queue(self) -> int:
        """Quarantine the messages that the broker dead-lettered, and return their number.

        Raises `BrokerDown`.
        """
