"""The messages that the relay hands to the broker, and the interface of their transport."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from events.errors import QueueUnavailable


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


@dataclass(frozen=True)
class TaskMessage:
    """One message for an ordinary task: the headers and the body that Celery would send."""

    id: str
    queue: str
    headers: dict[str, Any]
    body: str
    priority: int | None = None


class Transport(Protocol):
    """A connection to the queues: `CeleryTransport`, and `InMemoryTransport` in tests."""

    def connect(self) -> None:
        """Connect, unless connected.

        Raises `BrokerDown`, or `BrokerBlocked` if the other questions are answered nevertheless.
        """

    def send(self, messages: Sequence[Message]) -> Mapping[str, QueueUnavailable]:
        """Hand all messages to the broker; return the queues that did not take theirs, and why.

        Raises `BrokerDown` if none may be sent. A message that was not taken may have arrived all
        the same.
        """

    def send_tasks(self, messages: Sequence[TaskMessage]) -> Mapping[str, QueueUnavailable]:
        """Hand messages for ordinary tasks to the broker, as `send` does."""

    def waiting(self, queue: str) -> int:
        """Return the number of messages on `queue` that no worker has received.

        Raises `BrokerDown`, and `QueueUnavailable` if only this queue cannot be asked about.
        """

    def faults(self) -> Mapping[str, QueueUnavailable]:
        """Return the queues with a fault that no send meets: declared elsewhere, or dropping."""

    def drain_dead_queue(self) -> int:
        """Quarantine the messages that the broker dead-lettered, and return their number.

        Raises `BrokerDown`, and `QueueUnavailable` if only the dead queue cannot be read.
        """
