"""The trace of one order, and what can be asked of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from events import Envelope, Event
from events.admin.trace import TracedDelivery, TracedEvent
from web.filters import span

BEHIND_THE_SCENES = ("timeline", "dead_letters")  # queues that act on no order


@dataclass
class Trace:
    """The events of one order with their deliveries, and what can be asked of them."""

    events: Sequence[TracedEvent]
    deliveries: list[TracedDelivery] = field(init=False)

    def __post_init__(self) -> None:
        self.deliveries = [delivery for event in self.events for delivery in event.deliveries]

    @property
    def began(self) -> datetime | None:
        """When the order was placed."""
        return self.events[0].envelope.time if self.events else None

    def first(self, *types: type[Event]) -> Envelope | None:
        """The first event of one of these types."""
        wanted = [each.type for each in types]
        return next(
            (event.envelope for event in self.events if event.envelope.type in wanted), None
        )

    def after(self, envelope: Envelope) -> str:
        """How long after the order an event happened."""
        return "+" + span((envelope.time - self.began).total_seconds()) if self.began else ""

    def hurt(self, queue: str) -> TracedDelivery | None:
        """The delivery of `queue` that most needs to be told of: a dead one, else one that is tried again."""
        mine = [each for each in self.deliveries if each.queue == queue]
        for state in ("dead", "retrying"):
            for each in mine:
                if each.state == state:
                    return each
        return None
