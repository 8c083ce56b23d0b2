"""What the operators' API is asked and answers, as models: they are the documentation and make the JSON."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from events.catalog import Money
from web.api.schemas import Parameters

Text = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\u0000-\u001F\u007F]*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,120}$")]
DeadId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{36}:[a-z][a-z0-9_.]{0,120}$")]


class _Query(Parameters):
    model_config = ConfigDict(extra="forbid")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Page(_Query):
    """Which part of a long list: `limit` rows that are older than `before`."""

    limit: int = Field(default=50, ge=1, le=500)
    before: int | None = Field(default=None, ge=1, le=2**63 - 1)


class EventFilter(Page):
    """Which events."""

    type: Text | None = Field(default=None, examples=["order.created"])
    subject: Text | None = Field(default=None, examples=["ORD-1042"])


class DeadList(_Query):
    """Which dead letters, and how many at most."""

    queue: Name | None = None
    subscription: Name | None = None
    fingerprint: Text | None = Field(default=None, min_length=1)
    limit: int = Field(default=100, ge=1, le=500)


class Why(_Body):
    """The reason, for the audit."""

    why: Text = ""


def _given(**fields: Any) -> Any:
    return {"required": list(fields), "properties": fields}


CHOOSING: list[Any] = [
    _given(ids={"type": "array"}),
    *(_given(**{name: {"type": "string"}}) for name in ("queue", "subscription", "fingerprint")),
    _given(everything={"const": True}),
]


class Many(_Body):
    """Which dead letters, and why. At least one filter or id, unless it is really everything."""

    model_config = ConfigDict(json_schema_extra={"anyOf": CHOOSING})

    ids: list[DeadId] | None = Field(default=None, min_length=1, max_length=500)
    queue: Name | None = None
    subscription: Name | None = None
    fingerprint: Text | None = Field(default=None, min_length=1)
    everything: bool = False
    why: Text = ""

    @model_validator(mode="after")
    def chooses(self) -> "Many":
        """Refuse what would touch every dead letter by accident."""
        if not (self.everything or self.ids or self.queue or self.subscription or self.fingerprint):
            raise ValueError(
                "name ids, a queue, a subscription or a fingerprint; or say everything: true"
            )
        return self


class DeadPath(Parameters):
    """Which dead letter."""

    id: DeadId


class SubscriptionPath(Parameters):
    """Which subscription."""

    name: Name


class OrderRow(_Answer):
    """An order in the list."""

    id: str
    number: str
    status: str
    reason: str | None
    stock: str
    payment: str
    shipment: str
    customer: str
    total: Money
    created_at: datetime


class Orders(BaseModel):
    """The latest orders."""

    orders: list[OrderRow]
    next: str | None = Field(default=None, description="where older ones are")


class Events(BaseModel):
    """The latest events, as CloudEvents."""

    events: list[dict[str, Any]]
    next: str | None = Field(default=None, description="where older ones are")


class DeadLetterOut(_Answer):
    """A delivery that no retry saved."""

    id: str
    subscription: str
    queue: str
    event_id: UUID
    event_type: str
    event_version: int
    subject: str | None
    attempts: int
    error: str | None
    fingerprint: str | None
    died_at: datetime


class GroupOut(_Answer):
    """Dead letters that failed alike."""

    fingerprint: str | None
    queue: str
    subscription: str
    event_type: str
    count: int
    first: datetime
    last: datetime
    error: str | None


class DeadLetters(BaseModel):
    """Dead letters, and all of them in groups that failed alike."""

    dead_letters: list[DeadLetterOut]
    groups: list[GroupOut]


class Changed(BaseModel):
    """How many it was done to."""

    changed: int


class SubscriptionOut(_Answer):
    """A subscription as the relay sees it."""

    name: str
    queue: str
    event_types: list[str]
    policy: dict[str, Any]
    batch: int
    first_registered: datetime
    last_seen: datetime
    paused_at: datetime | None
    paused_by: str | None
    paused_why: str | None


class Subscriptions(BaseModel):
    """Every subscription."""

    subscriptions: list[SubscriptionOut]


class QueueOut(_Answer):
    """How a queue is doing."""

    name: str
    waiting: int
    retrying: int
    dead: int
    oldest: float | None = Field(description="age in seconds of the oldest open delivery")
    paused: bool
    workers: int


class Queues(BaseModel):
    """Every queue."""

    queues: list[QueueOut]
