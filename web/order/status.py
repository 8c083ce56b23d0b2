"""The state of an order in its row, and the labels for it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Pill:
    """A label for the state of the order, with its tone."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Status:
    """The state in the order's row; `reserved_until` is the deadline of its payment."""

    number: str
    status: str
    payment: str
    reason: str | None
    has_unrelayed_events: bool = False
    reserved_until: datetime | None = None
