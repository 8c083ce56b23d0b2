"""The responses of the HTTP API about dead letters."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from events.admin.triage import TriageChange
from events.catalog import Money
from web.api.ops_schemas import Fingerprint, Name, OpsResponse, WhyText


class DeadLetterOut(OpsResponse):
    """A delivery that failed at every attempt."""

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


class ImpactOut(OpsResponse):
    """The orders and the money that dead letters hold up."""

    orders: int
    money: list[Money] = Field(description="one sum for each currency")
    oldest: str | None = Field(description="the order that has waited longest")
    waiting_since: datetime | None
    estimated: bool = Field(description="true: scaled up from the dead letters that died first")


class TriageOut(OpsResponse):
    """The triage of a group; a new death of one that is fixed or closed makes it regressed."""

    state: Literal["open", "on hold", "fixed", "closed", "regressed"]
    version: str = Field(description="that has the fix")
    owner: str
    note: str
    link: str
    changed_at: datetime | None
    changed_by: str
    canary: int | None = Field(description="replay of one dead letter on workers of the version")
    canary_outcome: Literal["", "under way", "handled", "died again", "skipped", "stopped"]


class TriageBody(TriageChange):
    """The group, the values to change, and the operator's reason."""

    subscription: Name
    fingerprint: Fingerprint
    why: WhyText


class GroupOut(OpsResponse):
    """Dead letters of one subscription and event type with the same fingerprint."""

    fingerprint: str | None
    queue: str
    subscription: str
    event_type: str
    count: int
    first: datetime
    last: datetime
    error: str | None
    impact: ImpactOut
    triage: TriageOut


class DeadLetters(BaseModel):
    """The matching dead letters, and all groups, those with the worst impact first."""

    dead_letters: list[DeadLetterOut]
    groups: list[GroupOut]
    impact: ImpactOut = Field(description="that of all groups; an order in several counts once")
    next: str | None = Field(default=None, description="the address of the next, older page")
    note: str = Field(default="", description="what part was searched, if it was not all")
