"""The events that the bus itself publishes."""

from pydantic import AwareDatetime

from events.event import Event
from events.tables import Delivery


class DeliveryDead(Event, type="delivery.dead", source="bus"):
    """No retry saved a delivery. `fingerprint` is the place of the failure, without data."""

    subscription: str
    queue: str
    event_id: str
    event_type: str
    attempts: int
    fingerprint: str


class BreakerOpened(Event, type="breaker.opened", source="bus"):
    """A dependency became unavailable, or a person holds its deliveries back."""

    dependency: str
    error_type: str | None = None
    by_hand: bool = False


class BreakerClosed(Event, type="breaker.closed", source="bus"):
    """A dependency answered its probe, or a person closed its breaker."""

    dependency: str
    by_hand: bool = False


class AlertEvent(Event):
    """A fact about an alert: a rule, and the subject for which it holds since then.

    `cause` is the fingerprint of dead letters, and empty for the other rules.
    """

    rule: str
    subject: str
    cause: str
    title: str
    since: AwareDatetime


class AlertRaised(AlertEvent, type="alert.raised", source="bus"):
    """A rule of the alerts holds, from now on or still (`again`)."""

    text: str
    again: bool = False


class AlertResolved(AlertEvent, type="alert.resolved", source="bus"):
    """An alert that was raised is over."""


def death_of(row: Delivery, event_type: str) -> DeliveryDead:
    """Return the event that reports the death of a delivery of an event of this type."""
    return DeliveryDead(
        subscription=row.subscription,
        queue=row.queue,
        event_id=str(row.event_id),
        event_type=event_type,
        attempts=row.attempts,
        fingerprint=row.fingerprint or "",
    )
