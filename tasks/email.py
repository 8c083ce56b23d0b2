"""The email service: tells the customer. Each mail once, as far as SMTP permits.

The mail is sent before it is recorded. If this process dies in between, the mail goes out again, with the same Message-ID.
"""

from sqlalchemy.orm import Session

from events import Retry, clock, envelope, insert_if_absent, log, reading, subscribe
from events.catalog import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderEvent,
    OrderShipped,
    PaymentRefunded,
)
from events.personal import ERASED_EMAIL
from tasks import gateways
from tasks.mail_texts import KINDS, Mail, compose

PATIENCE = Retry(attempts=10, first=1.0, cap=120.0)
MOOT_ONCE_CANCELLED = {"confirmed", "shipped"}


def send(event: OrderEvent, key: str) -> str | None:
    """Send the mail about `event` and return its Message-ID, or nothing if it was sent before or is no longer true."""
    kind = KINDS[type(event)]
    with reading() as session:
        if _sent(session, event, kind) or (
            kind in MOOT_ONCE_CANCELLED and _sent(session, event, "cancelled")
        ):
            return None
        order = _ordered(session, event)
    if order.email == ERASED_EMAIL:  # the customer is erased: there is nobody to write to
        return None
    message = compose(event, order, key=key, at=clock.now())
    gateways.mailer().send(message)
    return str(message["Message-ID"])


@subscribe(OrderCreated, queue="email", call=send, retry=PATIENCE)
def confirm_receipt(event: OrderCreated, session: Session, message_id: str | None) -> None:
    """Tell that the order has arrived."""
    _record(session, event, message_id)


@subscribe(OrderConfirmed, queue="email", call=send, retry=PATIENCE)
def announce_confirmation(event: OrderConfirmed, session: Session, message_id: str | None) -> None:
    """Tell that the order is confirmed."""
    _record(session, event, message_id)


@subscribe(OrderCancelled, queue="email", call=send, retry=PATIENCE)
def announce_cancellation(event: OrderCancelled, session: Session, message_id: str | None) -> None:
    """Tell that the order is cancelled, and why."""
    _record(session, event, message_id)


@subscribe(OrderShipped, queue="email", call=send, retry=PATIENCE)
def announce_shipment(event: OrderShipped, session: Session, message_id: str | None) -> None:
    """Tell that the parcel is on its way."""
    _record(session, event, message_id)


@subscribe(PaymentRefunded, queue="email", call=send, retry=PATIENCE)
def announce_refund(event: PaymentRefunded, session: Session, message_id: str | None) -> None:
    """Tell that the money is back."""
    _record(session, event, message_id)


def _sent(session: Session, event: OrderEvent, kind: str) -> bool:
    return session.get(Mail, (event.order_id, kind)) is not None


def _record(session: Session, event: OrderEvent, message_id: str | None) -> None:
    if message_id is not None:
        row = {
            "order_id": event.order_id,
            "kind": KINDS[type(event)],
            "message_id": message_id,
            "sent_at": clock.now(),
        }
        insert_if_absent(session, Mail, row)


def _ordered(session: Session, event: OrderEvent) -> OrderCreated:
    """What was ordered, by whom: the log knows, so no other event need carry it and no second copy is kept here."""
    if isinstance(event, OrderCreated):
        return event
    history = log.about(session, envelope().subject or "")
    for told in history:
        if told.type == OrderCreated.type:
            created = told.event()
            if isinstance(created, OrderCreated) and created.order_id == event.order_id:
                return created
    raise LookupError(
        f"the log holds no {OrderCreated.type} for order {event.order_id}, so nobody can be written to"
    )
