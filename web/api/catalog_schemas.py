"""The responses of the event catalog as models: events, their subscribers, their retry policies."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from events import Retry
from events.admin.event_catalog import CatalogEntry
from events.admin.subscriptions import policy_of
from tasks.durations import policy_json


class PolicyOut(BaseModel):
    """A retry policy; times are in seconds."""

    attempts: int
    first: float
    cap: float
    attempts_within: float = Field(description="the longest time from the first to the last")
    give_up_after: float = Field(description='the time for which "not now" is retried')
    not_now_cap: float = Field(description='the longest pause after "not now"')
    text: str = Field(examples=['6 attempts within 31 sec; "not now" for 24 hr'])


def _described(policy: Retry | dict[str, Any]) -> dict[str, Any]:
    return policy_json(policy if isinstance(policy, Retry) else policy_of(policy))


# As a policy, or as the row of a subscription has it.
Policy = Annotated[PolicyOut, BeforeValidator(_described)]


class SubscriberOut(BaseModel):
    """A subscriber of an event with its retry policy."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    queue: str
    policy: Policy


class CatalogEventOut(BaseModel):
    """One version of an event; the newest has the subscribers."""

    type: str
    version: int
    source: str
    description: str
    subscribers: list[SubscriberOut]
    data_schema: dict[str, Any] = Field(description="the JSON Schema of the data")


class CatalogOut(BaseModel):
    """The event catalog."""

    events: list[CatalogEventOut]


def catalog_event(entry: CatalogEntry) -> CatalogEventOut:
    """Return an entry of the catalog as the response has it."""
    event_class = entry.event_class
    return CatalogEventOut(
        type=event_class.type,
        version=event_class.version,
        source=event_class.source,
        description=entry.description,
        subscribers=[SubscriberOut.model_validate(each) for each in entry.subscribers],
        data_schema=event_class.model_json_schema(),
    )
