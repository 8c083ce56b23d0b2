"""The texts of the mails. They are plain text, so that no input of a customer is markup."""

import binascii
import re
from datetime import datetime
from email.header import Header
from email.headerregistry import Address as Mailbox
from email.utils import format_datetime
from functools import cache, singledispatch
from uuid import NAMESPACE_OID, uuid5

from events.catalog import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderEvent,
    OrderShipped,
    PaymentRefunded,
)
from events.inputs import escaped, escaped_lines
from tasks.gateways.ports import MailMessage
from tasks.mail_settings import mailbox
from tasks.money import money_text
from tasks.settings import settings

SHORT = 74  # characters of a header without ": ", which is then one line


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
) -> MailMessage:
    """Compose the mail about `event`; `page` is the address of the order's page, or empty."""
    subject, paragraph = subject_and_body(event)
    to = _recipient(order.customer, order.email)
    text = _body(paragraph, order, page)
    return new_message(f"Your order {order.number} {subject}", text, to=to, key=key, at=at)


_PLAIN_ADDRESS = re.compile(
    r"([\w+-]+(?:\.[\w+-]+)*)@([\w-]+(?:\.[\w-]+)*)",
    re.ASCII,
)


def _recipient(name: str, address: str) -> Mailbox:
    """Return the mailbox of an address; a plain one needs no parser, which took a tenth of a mail.

    An addr_spec is one address or an error; the text "a@x.io, v@y.io" would be two recipients.
    """
    if plain := _PLAIN_ADDRESS.fullmatch(address):
        return Mailbox(name, plain[1], plain[2])
    return Mailbox(display_name=name, addr_spec=address)


def new_message(subject: str, text: str, *, to: Mailbox, key: str, at: datetime) -> MailMessage:
    """Return a mail from the shop.

    The Message-ID is derived from `key`, so that a mail client can recognise a mail sent twice.
    Headers are written and not parsed: `EmailMessage` parses and folds each, ten times the work.
    """
    sender, sender_header = _sender(settings().mail_from)
    message_id = f"<{uuid5(NAMESPACE_OID, key)}@{sender.domain}>"
    headers = (
        f"Subject: {_encoded('Subject', escaped(subject))}",
        sender_header,
        f"Date: {format_datetime(at)}",
        f"Message-ID: {message_id}",
        "Auto-Submitted: auto-generated",
        f"To: {_mailbox('To', to)}",
        "MIME-Version: 1.0",
        'Content-Type: text/plain; charset="utf-8"',
        "Content-Transfer-Encoding: quoted-printable",
    )
    # Another publisher may have written a name that a terminal obeys.
    lines = escaped_lines(text.removesuffix("\n")).split("\n")
    body = binascii.b2a_qp("\r\n".join((*lines, "")).encode(), istext=True).decode("ascii")
    content = "\r\n".join((*headers, "", body))
    return MailMessage(message_id, sender.addr_spec, to.addr_spec, content)


@cache
def _sender(mail_from: str) -> tuple[Mailbox, str]:
    given = mailbox(mail_from)
    sender = Mailbox(display_name=given.display_name or "Tidings", addr_spec=given.addr_spec)
    return sender, f"From: {_mailbox('From', sender)}"


def _mailbox(header: str, of: Mailbox) -> str:
    name = escaped(of.display_name)
    if _is_plain(name):
        return _encoded(header, str(Mailbox(name, of.username, of.domain)))
    return f"{_encoded(header, name)} <{of.addr_spec}>"


def _encoded(header: str, text: str) -> str:
    """Return the text as a header has it: in folded lines, and encoded unless it is plain."""
    if _is_plain(text) and len(header) + len(text) < SHORT:
        return text
    charset = "us-ascii" if _is_plain(text) else "utf-8"
    return Header(text, charset, header_name=header).encode(linesep="\r\n")


def _is_plain(text: str) -> bool:
    return text.isascii() and "=?" not in text  # which begins an encoded word (RFC 2047)


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
