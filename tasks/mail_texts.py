"""What the shop's mails say. Plain text, so that nothing a customer typed can be more than text."""

from datetime import datetime
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.utils import format_datetime
from functools import singledispatch
from uuid import NAMESPACE_OID, uuid5

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from events import Base
from events.catalog import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderEvent,
    OrderShipped,
    PaymentRefunded,
)
from tasks.money import money_text
from tasks.settings import settings


class Mail(Base):
    """A mail that the mail server took. One of a kind per order; the mail itself is not kept."""

    __tablename__ = "mails"

    order_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    message_id: Mapped[str] = mapped_column(String(400))
    sent_at: Mapped[datetime]


KINDS: dict[type[OrderEvent], str] = {
    OrderCreated: "received",
    OrderConfirmed: "confirmed",
    OrderCancelled: "cancelled",
    OrderShipped: "shipped",
    PaymentRefunded: "refunded",
}


@singledispatch
def news(event: OrderEvent) -> tuple[str, str]:
    """The event in a subject's words, after "Your order ORD-1042", and in one paragraph."""
    raise TypeError(f"there is no mail about {event.type}; write one here")


@news.register
def _(event: OrderCreated) -> tuple[str, str]:
    return (
        "has arrived",
        "Thank you for your order. We are setting your things aside and will write again.",
    )


@news.register
def _(event: OrderConfirmed) -> tuple[str, str]:
    return "is confirmed", "Everything is set aside and paid. We are packing your parcel now."


@news.register
def _(event: OrderCancelled) -> tuple[str, str]:
    return (
        "is cancelled",
        f"We are sorry: your order is cancelled ({event.reason}). What was paid comes back to you.",
    )


@news.register
def _(event: OrderShipped) -> tuple[str, str]:
    return (
        "is on its way",
        f"Your parcel is with {event.carrier}. Its tracking number is {event.tracking}.",
    )


@news.register
def _(event: PaymentRefunded) -> tuple[str, str]:
    return "is refunded", f"We have given {money_text(event.total)} back to you."


def compose(event: OrderEvent, order: OrderCreated, *, key: str, at: datetime) -> EmailMessage:
    """The mail about `event`. Its Message-ID comes from `key`, so that a mail sent twice shows once where that is known."""
    headline, paragraph = news(event)
    message = letter(f"Your order {order.number} {headline}", key=key, at=at)
    # Not a text with two names: "a@x.io, v@y.io" would reach both; an addr_spec is one address or an error.
    message["To"] = Mailbox(display_name=order.customer, addr_spec=order.email)
    message.set_content(_body(paragraph, order))
    return message


def letter(subject: str, *, key: str, at: datetime) -> EmailMessage:
    """A mail from the shop that still wants a recipient and a text."""
    sender = Mailbox(display_name="Tidings", addr_spec=settings().mail_from)
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = sender
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{uuid5(NAMESPACE_OID, key)}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    return message


def _body(paragraph: str, order: OrderCreated) -> str:
    rows = [
        (f"{line.quantity} × {line.name}", money_text(line.price * line.quantity))
        for line in order.lines
    ]
    rows.append(("Total", money_text(order.total)))
    left, right = (max(len(cell) for cell in column) for column in zip(*rows, strict=True))
    table = "\n".join(f"  {what:<{left}}  {price:>{right}}" for what, price in rows)
    return f"Dear {order.customer},\n\n{paragraph}\n\n{table}\n{_destination(order)}\nTidings, about order {order.number}\n"


def _destination(order: OrderCreated) -> str:
    address = order.shipping_address
    if address is None:
        return ""
    place = [address.line1, address.line2, f"{address.postcode} {address.city}", address.country]
    return "\nTo: " + ", ".join(part for part in place if part) + "\n"
