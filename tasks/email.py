"""The email service: writes to the customer, each mail once as far as SMTP permits.

A mail is sent before it is recorded. If the process dies in between, the mail is sent again with
the same Message-ID.
"""

from datetime import datetime

from sqlalchemy import String, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, clock, envelope, insert_if_absent, log, reading, subscribe
from events.catalog import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderEvent,
    OrderShipped,
    PaymentRefunded,
)
from events.orm import table_of
from events.personal import ERASED_EMAIL
from tasks import gateways, order_links
from tasks.gateways.ports import MAIL_RETRY_POLICY
from tasks.mail_texts import compose

UNTRUE_ONCE_CANCELLED = {"confirmed", "shipped"}


class Mail(Base):
    """A mail that the mail server accepted, one of a kind per order. Its text is not kept."""

    __tablename__ = "mails"

    order_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    message_id: Mapped[str] = mapped_column(String(400))
    sent_at: Mapped[datetime]


_MAILS = table_of(Mail).c
_KINDS_SENT = select(_MAILS.kind).where(_MAILS.order_id == bindparam("order_id"))
KINDS: dict[type[OrderEvent], str] = {
    OrderCreated: "received",
    OrderConfirmed: "confirmed",
    OrderCancelled: "cancelled",
    OrderShipped: "shipped",
    PaymentRefunded: "refunded",
}


def send(event: OrderEvent, _: str) -> str | None:
    """Send the mail about `event`; return its Message-ID.

    Return nothing if it was sent before, or if the order was cancelled meanwhile. The Message-ID is
    made of the order and the kind of the mail: after a restore another event asks for it again.
    """
    kind = KINDS[type(event)]
    with reading() as session:
        sent = set(session.scalars(_KINDS_SENT, {"order_id": event.order_id}))
        if kind in sent or (kind in UNTRUE_ONCE_CANCELLED and "cancelled" in sent):
            return None
        order = _order_created(session, event)
        if order.email == ERASED_EMAIL:
            return None
        page = order_links.link(session, event.order_id)
    key = f"{event.order_id}:{kind}"
    message = compose(event, order, key=key, at=clock.now(), page=page)
    gateways.mailer().send(message)
    return message.message_id


@subscribe(OrderCreated, queue="email", call=send, retry=MAIL_RETRY_POLICY, depends_on="smtp")
def confirm_receipt(event: OrderCreated, session: Session, message_id: str | None) -> None:
    """Tell the customer that the order was received."""
    _record(session, event, message_id)


@subscribe(OrderConfirmed, queue="email", call=send, retry=MAIL_RETRY_POLICY, depends_on="smtp")
def announce_confirmation(event: OrderConfirmed, session: Session, message_id: str | None) -> None:
    """Tell the customer that the order is confirmed."""
    _record(session, event, message_id)


@subscribe(OrderCancelled, queue="email", call=send, retry=MAIL_RETRY_POLICY, depends_on="smtp")
def announce_cancellation(event: OrderCancelled, session: Session, message_id: str | None) -> None:
    """Tell the customer that the order is cancelled, and the reason."""
    _record(session, event, message_id)


@subscribe(OrderShipped, queue="email", call=send, retry=MAIL_RETRY_POLICY, depends_on="smtp")
def announce_shipment(event: OrderShipped, session: Session, message_id: str | None) -> None:
    """Tell the customer that the order is shipped."""
    _record(session, event, message_id)


@subscribe(PaymentRefunded, queue="email", call=send, retry=MAIL_RETRY_POLICY, depends_on="smtp")
def announce_refund(event: PaymentRefunded, session: Session, message_id: str | None) -> None:
    """Tell the customer that the payment is refunded."""
    _record(session, event, message_id)


def _record(session: Session, event: OrderEvent, message_id: str | None) -> None:
    if message_id is not None:
        row = {
            "order_id": event.order_id,
            "kind": KINDS[type(event)],
            "message_id": message_id,
            "sent_at": clock.now(),
        }
        insert_if_absent(session, Mail, row)


def _order_created(session: Session, event: OrderEvent) -> OrderCreated:
    """Return the order's `OrderCreated` from the log, so that no table here repeats its data."""
    if isinstance(event, OrderCreated):
        return event
    for each in log.about(session, envelope().subject or "", OrderCreated.type):
        created = each.event()
        if isinstance(created, OrderCreated) and created.order_id == event.order_id:
            return created
    raise LookupError(
        f"the log has no {OrderCreated.type} of order {event.order_id}; the mail has no recipient"
    )
