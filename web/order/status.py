"""The state of an order in its row, and the labels for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pill:
    """A label for the state of the order, with its tone."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Status:
    """The state in the order's row."""

    number: str
    status: str
    payment: str
    reason: str | None
    has_unrelayed_events: bool = False
