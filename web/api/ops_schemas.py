"""Requests and responses of the operators' API as models, like `web.api.schemas`."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)

from events.catalog import Money
from events.inputs import FROM_DIGITS, MAX_INTEGER, NEEDED_REASON, PlainText
from events.search import dead
from events.search.query import MAX_LENGTH, Query, Term
from tasks.commands import order_number
from tasks.search_fields import dead_letters_query, events_query
from web.api.catalog_schemas import Policy
from web.api.schemas import WHY, Parameters

Limit = Annotated[int, Field(ge=1, le=500), FROM_DIGITS]
Text = Annotated[str, PlainText(300, optional=True)]
Subject = Annotated[Text, AfterValidator(order_number)]
WhyText = Annotated[str, NEEDED_REASON, WHY]
# As the ledger has it, with the white space of an error: PostgreSQL cannot look for NUL alone.
Fingerprint = Annotated[
    str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\u0000]*$")
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,120}$")]
DeliveryId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{36}:[a-z][a-z0-9_.]{0,120}$")]


def checked(rule: Callable[[str], Any]) -> Callable[[str], str]:
    """Return a rule that refuses what `rule` refuses, and leaves the text as it is."""

    def check(text: str) -> str:
        rule(text)
        return text

    return check


class _Query(Parameters):
    model_config = ConfigDict(extra="forbid")


class Body(BaseModel):
    """The body of a request, with the fields that it has and no others."""

    model_config = ConfigDict(extra="forbid", strict=True)


class OpsResponse(BaseModel):
    """A response that is made of an object of the bus."""

    model_config = ConfigDict(from_attributes=True)


class PageQuery(_Query):
    """A part of a long list: `limit` rows that are older than `before`."""

    limit: Limit = 50
    before: Annotated[int, Field(ge=1, le=MAX_INTEGER), FROM_DIGITS] | None = None


class EventQuery(PageQuery):
    """A part of the event log: a search, or the events of one type or about one subject."""

    q: Annotated[str, AfterValidator(checked(events_query))] | None = Field(
        default=None,
        max_length=MAX_LENGTH,
        examples=["type:order.created since:2026-11-25 data.email=ada@example.org"],
    )
    event_type: Text | None = Field(default=None, alias="type", examples=["order.created"])
    subject: Subject | None = Field(default=None, examples=["ORD-1042"])

    def wanted(self) -> Query:
        """Return the search with all that is given."""
        given = (("type", self.event_type), ("subject", self.subject))
        named = tuple(Term(name, value) for name, value in given if value)
        return Query(named + events_query(self.q or "").terms)


class DeadLetterFilters(_Query):
    """The dead letters that match each given filter."""

    queue: Name | None = None
    subscription: Name | None = None
    fingerprint: Fingerprint | None = None


class DeadLetterQuery(DeadLetterFilters):
    """The dead letters that match each given filter, at most `limit`."""

    q: Annotated[str, AfterValidator(checked(dead_letters_query))] | None = Field(
        default=None, max_length=MAX_LENGTH, examples=['subject:ORD-1042 error:"timed out"']
    )
    before: Annotated[str, AfterValidator(checked(dead.cursor))] | None = Field(
        default=None, description="the cursor of a page, as `next` has it"
    )
    limit: Limit = 100


class Because(Body):
    """The operator's reason, for the audit."""

    why: WhyText


class DeadLetterPath(Parameters):
    """The dead letter in the address."""

    delivery_id: DeliveryId


class SubscriptionPath(Parameters):
    """The subscription in the address."""

    name: Name


class OrderRow(OpsResponse):
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
    """A page of orders, newest first."""

    orders: list[OrderRow]
    next: str | None = Field(default=None, description="the address of the next, older page")


class Events(BaseModel):
    """A page of events as CloudEvents, newest first."""

    events: list[dict[str, Any]]
    next: str | None = Field(default=None, description="the address of the next, older page")
    note: str = Field(default="", description="what part was searched, if it was not all")


class Changed(BaseModel):
    """The number of changed dead letters."""

    changed: int


class SubscriptionOut(OpsResponse):
    """A subscription as the relay has it."""

    name: str
    queue: str
    event_types: list[str]
    policy: Policy
    batch: int
    first_registered: datetime
    last_seen: datetime
    paused_at: datetime | None
    paused_by: str | None
    paused_why: str | None


class Subscriptions(BaseModel):
    """All subscriptions."""

    subscriptions: list[SubscriptionOut]


class QueueOut(OpsResponse):
    """The backlog and the workers of a queue."""

    name: str
    state: str = Field(description="refused, no worker, breaker open or ok")
    waiting: int
    in_flight: int = Field(description="in a task message, or with a worker")
    retrying: int
    dead: int
    oldest: float | None = Field(description="age in seconds of the oldest open delivery")
    paused: bool
    workers: int
    trouble: str | None = Field(description="why the broker refuses the queue")
    fix: str | None = Field(description="what to do about the trouble")


class Queues(BaseModel):
    """All queues."""

    queues: list[QueueOut]
