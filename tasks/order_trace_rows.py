"""The rows of an order's trace, as its page, the API and the command line have them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from events.traces.segments import Kind
from events.traces.waits import Wait


@dataclass(frozen=True)
class Part:
    """A segment of the critical path; `what` is the subscription, or the event that waited."""

    what: str
    kind: Kind
    text: str
    start: datetime
    took: float
    event_id: UUID | None
    delivery_id: str | None


@dataclass(frozen=True)
class SegmentRow:
    """A segment of a delivery; `critical` if a part of it is on the critical path."""

    kind: Kind
    text: str
    start: datetime
    end: datetime
    took: float
    critical: bool


@dataclass(frozen=True)
class DeliveryRow:
    """A delivery; `compensates` if it undoes a step, with the event of that step in `undoes`."""

    id: str
    subscription: str
    state: str
    attempts: int
    start: datetime
    end: datetime
    took: float
    critical: bool
    compensates: bool
    undoes: str | None
    flower_task_id: str | None
    segments: list[SegmentRow]


@dataclass(frozen=True)
class EventRow:
    """An event with its deliveries; `request` is who sent the request, if it has no cause."""

    id: UUID
    type: str
    version: int
    source: str
    at: datetime
    request: str | None
    relayed: bool
    critical: bool
    deliveries: list[DeliveryRow]


@dataclass(frozen=True)
class OrderTrace:
    """An order's trace until its end, or until now if something of it is open.

    `left_out` are the subscriptions that do nothing for the order, with their deliveries.
    """

    id: str
    number: str
    status: str
    reason: str | None
    summary: str
    trace_id: str | None
    placed_at: datetime
    until: datetime
    took: float
    final: bool
    critical_path: list[Part]
    events: list[EventRow]
    waits: list[Wait]
    left_out: dict[str, int]
