"""The email service: writes to the customer, each mail once as far as SMTP permits.

A mail is sent before it is recorded. If the process dies in between, the mail is sent again with
the same Message-ID.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import datetime

from sqlalchemy import String, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import (
    Base,
    NotNow,
    clock,
    envelopes,
    insert_if_absent,
    log,
    reading,
    subscribe,
)
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
from tasks.gateways.ports import MAIL_RETRY_POLICY, MailMessage
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
_SENT = select(_MAILS.order_id, _MAILS.kind).where(
    _MAILS.order_id.in_(bindparam("order_ids", expanding=True))
)
KINDS: dict[type[OrderEvent], str] = {
    OrderCreated: "received",
    OrderConfirmed: "confirmed",
    OrderCancelled: "cancelled",
    OrderShipped: "shipped",
    PaymentRefunded: "refunded",
}


def send(events: Sequence[OrderEvent], _: Sequence[str]) -> Iterator[str | Exception | None]:
    """Send the mails about `events`; yield the Message-ID of each, or its error.

    Yield nothing for a mail that was sent before, and if the order was cancelled meanwhile. The
    Message-ID is made of the order and the kind of the mail: after a restore another event asks for
    it again.
    """
    mails = _composed(events)
    messages = [each for each in mails if isinstance(each, MailMessage)]
    errors = iter(gateways.mailer().send_all(messages) if messages else ())
    for each in mails:
        if isinstance(each, MailMessage):
            yield next(errors) or each.message_id
        else:
            yield each


def _composed(events: Sequence[OrderEvent]) -> list[MailMessage | Exception | None]:
    """Return the mail about each event, or why there is none; one look-up serves all of them."""
    ids = sorted({each.order_id for each in events})
    with reading() as session:
        sent = {(row.order_id, row.kind) for row in session.execute(_SENT, {"order_ids": ids})}
        orders = _orders(session, events)
        pages = order_links.links(session, ids)
    mails: list[MailMessage | Exception | None] = []
    for event in events:
        mail = None if _is_needless(event, sent) else _compose(event, orders, pages)
        if isinstance(mail, MailMessage):
            sent.add((event.order_id, KINDS[type(event)]))
        mails.append(mail)
    return mails


def _is_needless(event: OrderEvent, sent: Set[tuple[str, str]]) -> bool:
    kind = KINDS[type(event)]
    is_untrue = kind in UNTRUE_ONCE_CANCELLED and (event.order_id, "cancelled") in sent
    return is_untrue or (event.order_id, kind) in sent


def _compose(
    event: OrderEvent, orders: Mapping[str, OrderCreated], pages: Mapping[str, str]
) -> MailMessage | Exception | None:
    order = event if isinstance(event, OrderCreated) else orders.get(event.order_id)
    if order is None:
        return LookupError(
            f"the log has no {OrderCreated.type} of order {event.order_id}; "
            "the mail has no recipient"
        )
    if order.email == ERASED_EMAIL:
        return None
    if event.order_id not in pages:  # an imported order gets its row from the orders service
        return NotNow(f"the order {event.order_id} has no row yet, and the mail would have no link")
    key = f"{event.order_id}:{KINDS[type(event)]}"
    return compose(event, order, key=key, at=clock.now(), page=pages[event.order_id])


@subscribe(OrderCreated, queue="email", call_batch=send, retry=MAIL_RETRY_POLICY, depends_on="smtp")
def confirm_receipt(event: OrderCreated, session: Session, message_id: str | None) -> None:
    """Tell the customer that the order was received."""
    _record(session, event, message_id)


@subscribe(
    OrderConfirmed, queue="email", call_batch=send, retry=MAIL_RETRY_POLICY, depends_on="smtp"
)
def announce_confirmation(event: OrderConfirmed, session: Session, message_id: str | None) -> None:
    """Tell the customer that the order is confirmed."""
    _record(session, event, message_id)


@subscribe(
    OrderCancelled, queue="email", call_batch=send, retry=MAIL_RETRY_POLICY, depends_on="smtp"
)
def announce_cancellation(event: OrderCancelled, session: Session, message_id: str | None) -> None:
    """Tell the customer that the order is cancelled, and the reason."""
    _record(session, event, message_id)


@subscribe(OrderShipped, queue="email", call_batch=send, retry=MAIL_RETRY_POLICY, depends_on="smtp")
def announce_shipment(event: OrderShipped, session: Session, message_id: str | None) -> None:
    """Tell the customer that the order is shipped."""
    _record(session, event, message_id)


@subscribe(
    PaymentRefunded, queue="email", call_batch=send, retry=MAIL_RETRY_POLICY, depends_on="smtp"
)
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
        insert_if_absent(session, Mail, row, later=True)


def _orders(session: Session, events: Sequence[OrderEvent]) -> dict[str, OrderCreated]:
    """Return the `OrderCreated` of other events from the log: no table here repeats its data."""
    subjects = {
        each.subject
        for each, event in zip(envelopes(), events, strict=True)
        if each.subject and not isinstance(event, OrderCreated)
    }
    if not subjects:
        return {}
    found = (each.event() for each in log.about(session, *subjects, event_type=OrderCreated.type))
    return {each.order_id: each for each in found if isinstance(each, OrderCreated)}
