"""Responses of the API for traces and stuck orders as models, like `web.api.ops_schemas`."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from events.catalog import Money
from events.traces.segments import Kind
from tasks.stuck_orders import StuckOrder
from web.api.ops_schemas import Limit, OpsResponse
from web.api.schemas import Parameters


class WaitOut(OpsResponse):
    """A wait of an open order."""

    what: str = Field(examples=["payment.charge_order"])
    waits_for: str = Field(examples=["a worker: queue payment has none"])
    since: datetime
    stops: bool = Field(description="nothing goes on at present")
    person: bool = Field(description="only a person can change that")
    event_id: UUID | None
    delivery_id: str | None


class PathPart(OpsResponse):
    """A part of the critical path; the parts add up to the whole time."""

    what: str = Field(description="the subscription, or the event that waited")
    kind: Kind
    text: str
    start: datetime
    took: float = Field(description="seconds")
    event_id: UUID | None
    delivery_id: str | None


class SegmentOut(OpsResponse):
    """A part of the time of a delivery; what was handled begins with its send."""

    kind: Kind
    text: str
    start: datetime
    end: datetime
    took: float = Field(description="seconds")
    critical: bool


class TracedDeliveryOut(OpsResponse):
    """A delivery with its segments; `compensates` if it undoes what `undoes` reported."""

    id: str
    subscription: str
    state: str
    attempts: int
    start: datetime
    end: datetime
    took: float = Field(description="seconds")
    critical: bool
    compensates: bool
    undoes: str | None
    flower_task_id: str | None
    segments: list[SegmentOut]


class TracedEventOut(OpsResponse):
    """An event with its deliveries; `request` says who sent the request that caused it."""

    id: UUID
    type: str
    version: int
    source: str
    at: datetime
    request: str | None
    relayed: bool
    critical: bool
    deliveries: list[TracedDeliveryOut]


class OrderTraceOut(OpsResponse):
    """The trace of an order; what is open goes on until now."""

    id: str
    number: str
    status: str
    reason: str | None
    summary: str
    trace_id: str | None
    placed_at: datetime
    until: datetime
    took: float = Field(description="seconds")
    final: bool
    critical_path: list[PathPart]
    events: list[TracedEventOut]
    waits: list[WaitOut]
    left_out: dict[str, int] = Field(description="deliveries that do nothing for the order")


class StuckOrdersQuery(Parameters):
    """The number of open orders to look at, the oldest first."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit = 50


class StuckOrderOut(BaseModel):
    """An order that does not go on, with what it waits for, the worst first."""

    id: str
    number: str
    status: str
    created_at: datetime
    total: Money
    person: bool = Field(description="it goes on only after a person has acted")
    waits: list[WaitOut]

    @classmethod
    def of(cls, found: StuckOrder) -> "StuckOrderOut":
        """Return a stuck order as the API shows it."""
        order = found.order
        return cls(
            id=order.id,
            number=order.number,
            status=order.status,
            created_at=order.created_at,
            total=order.total,
            person=found.person,
            waits=[WaitOut.model_validate(each) for each in found.waits],
        )


class StuckOrders(BaseModel):
    """Stuck orders, oldest first."""

    orders: list[StuckOrderOut]
    more: bool = Field(description="younger orders were not looked at; ask with a larger limit")
