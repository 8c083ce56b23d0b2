"""The deadline of a reservation: an order that is not paid by then is cancelled."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from events import clock, publish, scheduled
from events.catalog import ReservationExpired
from tasks.settings import settings


def start(session: Session, order_id: str, number: str) -> None:
    """Schedule the expiry of the order's reservation."""
    minutes = settings().reservation_minutes
    expired = ReservationExpired(order_id=order_id, minutes=minutes)
    at = clock.now() + timedelta(minutes=minutes)
    publish(session, expired, subject=number, at=at, key=_key(order_id))


def stop(session: Session, order_id: str) -> None:
    """Cancel the expiry, unless it has fired; its handler then finds what the caller decided."""
    scheduled.cancel(session, _key(order_id))


def of(session: Session, order_id: str) -> datetime | None:
    """Return the time at which the order's reservation expires, while it waits for its payment."""
    return scheduled.due_at(session, _key(order_id))


def _key(order_id: str) -> str:
    return f"reservation:{order_id}"
