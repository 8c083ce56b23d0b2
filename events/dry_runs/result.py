"""The result of a dry run: the rows, events and calls of a handler that left nothing behind."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class ColumnChange(BaseModel):
    """A column of a row, now and after the handler."""

    name: str
    now: Any
    then: Any


class RowChange(BaseModel):
    """A row that the handler would insert, update or delete."""

    table: str
    key: dict[str, Any]
    change: Literal["insert", "update", "delete"]
    columns: list[ColumnChange]


class EventOut(BaseModel):
    """An event that the handler would publish, with the subscriptions that would get it."""

    type: str
    version: int
    subject: str | None
    data: dict[str, Any]
    subscriptions: list[str]


class CallOut(BaseModel):
    """A call that was refused, and the example answer that the handler went on with."""

    service: str
    method: str
    arguments: dict[str, Any]
    answer: str | None = Field(description="the name of the answer; none if there is no example")
    answers: list[str] = Field(description="the names that can be chosen")


class DryRun(BaseModel):
    """The effects that a handler would have on one delivery; nothing was written or sent."""

    delivery_id: str
    outcome: Literal["handled", "failed", "ended"] = Field(
        description="ended: its process took too long, or was killed"
    )
    error: str | None = None
    traceback: str | None = None
    rows: list[RowChange] = []
    more_rows: int = Field(default=0, description="rows beyond those that are listed")
    statements: list[str] = Field(default=[], description="statements whose rows are not known")
    events: list[EventOut] = []
    calls: list[CallOut] = []
    seconds: float = 0.0
