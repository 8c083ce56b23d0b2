"""The trace of one order with the queries that its page needs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from events import Envelope, Event
from events.admin.trace import TracedDelivery, TracedEvent
from web.filters import duration

INTERNAL_QUEUES = ("timeline", "dead_letters")  # their deliveries do nothing for the order


@dataclass
class Trace:
    """The events of one order with their deliveries."""

    events: Sequence[TracedEvent]
    deliveries: list[TracedDelivery] = field(init=False)

    def __post_init__(self) -> None:
        self.deliveries = [delivery for event in self.events for delivery in event.deliveries]

    @property
    def started_at(self) -> datetime | None:
        """The time at which the order was placed."""
        return self.events[0].envelope.time if self.events else None

    def first(self, event_class: type[Event]) -> Envelope | None:
        """Return the first event of this type."""
        envelopes = (event.envelope for event in self.events)
        return next((each for each in envelopes if each.type == event_class.type), None)

    def offset(self, envelope: Envelope) -> str:
        """Format the time from the order to this event, such as `+1.25 sec`."""
        if self.started_at is None:
            return ""
        return "+" + duration((envelope.time - self.started_at).total_seconds())

    def worst_delivery(self, queue: str) -> TracedDelivery | None:
        """Return a dead delivery of `queue`, else a retrying one, else None."""
        for state in ("dead", "retrying"):
            for delivery in self.deliveries:
                if delivery.queue == queue and delivery.state == state:
                    return delivery
        return None
