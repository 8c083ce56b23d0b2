"""The texts of the mails. They are plain text, so that no input of a customer is markup."""

from datetime import datetime
from email.headerregistry import Address as Mailbox
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from functools import cache, singledispatch
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from events.catalog import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderEvent,
    OrderShipped,
    PaymentRefunded,
)
from events.inputs import escaped_lines
from tasks.mail_settings import mailbox
from tasks.money import money_text
from tasks.settings import settings


@singledispatch
def subject_and_body(event: OrderEvent) -> tuple[str, str]:
    """Return the end of the subject "Your order ORD-1042 ..." and a paragraph for the body."""
    raise TypeError(f"there is no mail about {event.type}; register one in {__name__}")


@subject_and_body.register
def _(event: OrderCreated) -> tuple[str, str]:
    return (
        "has arrived",
        "Thank you for your order. We are reserving your items and will write again.",
    )


@subject_and_body.register
def _(event: OrderConfirmed) -> tuple[str, str]:
    return "is confirmed", "Your items are reserved and paid. We are packing your parcel now."


@subject_and_body.register
def _(event: OrderCancelled) -> tuple[str, str]:
    return (
        "is cancelled",
        f"We are sorry: your order is cancelled ({event.reason}). Any payment is refunded.",
    )


@subject_and_body.register
def _(event: OrderShipped) -> tuple[str, str]:
    return (
        "is on its way",
        f"Your parcel is with {event.carrier}. Its tracking number is {event.tracking}.",
    )


@subject_and_body.register
def _(event: PaymentRefunded) -> tuple[str, str]:
    return "is refunded", f"We have refunded {money_text(event.total)}."


def compose(
    event: OrderEvent, order: OrderCreated, *, key: str, at: datetime, page: str = ""
) -> EmailMessage:
    """Compose the mail about `event`; `page` is the address of the order's page, or empty."""
    subject, paragraph = subject_and_body(event)
    message = new_message(f"Your order {order.number} {subject}", key=key, at=at)
    # An addr_spec is one address or an error; the text "a@x.io, v@y.io" would be two recipients.
    message["To"] = Mailbox(display_name=order.customer, addr_spec=order.email)
    # Another publisher may have written a name that a terminal obeys.
    message.set_content(escaped_lines(_body(paragraph, order, page)))
    return message


def new_message(subject: str, *, key: str, at: datetime) -> EmailMessage:
    """Return a mail from the shop without recipient and text.

    The Message-ID is derived from `key`, so that a mail client can recognise a mail sent twice.
    """
    sender, automatic, domain = _constant_headers(settings().mail_from)
    message = EmailMessage(policy=_POLICY)
    message["Subject"] = subject
    message["From"] = sender
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{uuid5(NAMESPACE_OID, key)}@{domain}>"
    message["Auto-Submitted"] = automatic
    return message


class _HeaderClasses(HeaderRegistry):
    """A registry that makes the class of a header once, not for each header of each mail."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        key = name.lower()
        if key not in self._made:
            self._made[key] = super().__getitem__(name)
        return self._made[key]


_POLICY = EmailPolicy(header_factory=_HeaderClasses())


@cache
def _constant_headers(mail_from: str) -> tuple[Any, Any, str]:
    """Return From, Auto-Submitted and the domain: to parse them is a third of composing a mail."""
    given = mailbox(mail_from)
    sender = Mailbox(display_name=given.display_name or "Tidings", addr_spec=given.addr_spec)
    message = EmailMessage()
    message["From"] = sender
    message["Auto-Submitted"] = "auto-generated"
    return message["From"], message["Auto-Submitted"], sender.domain


def _body(paragraph: str, order: OrderCreated, page: str) -> str:
    rows = [
        (f"{line.quantity} × {line.name}", money_text(line.price * line.quantity))
        for line in order.lines
    ]
    rows.append(("Total", money_text(order.total)))
    left, right = (max(len(cell) for cell in column) for column in zip(*rows, strict=True))
    table = "\n".join(f"  {item:<{left}}  {price:>{right}}" for item, price in rows)
    return (
        f"Dear {order.customer},\n\n{paragraph}\n\n{table}\n{_destination(order)}{_link(page)}\n"
        f"Tidings, about order {order.number}\n"
    )


def _destination(order: OrderCreated) -> str:
    address = order.shipping_address
    if address is None:
        return ""
    city = f"{address.postcode} {address.city}".strip()
    place = [address.line1, address.line2, city, address.country]
    return "\nTo: " + ", ".join(part for part in place if part) + "\n"


def _link(page: str) -> str:
    return f"\nYour order, for you alone:\n{page}\n" if page else ""
