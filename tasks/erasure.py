"""Erasure in the shop: a customer is forgotten by orders, timeline and mails as by the bus; ids, numbers and figures stay."""

import secrets
from collections.abc import Collection, Iterator, Sequence
from email import message_from_bytes, policy
from email.utils import getaddresses
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, ColumnElement, String, Text, cast, exists, func, or_, select
from sqlalchemy.orm import Session

from events import Base, Envelope, TidingsError, log, reading, transaction
from events.admin import erasure
from events.admin.erasure import Person, erases
from events.catalog import OrderEvent
from events.database import Database, database
from events.errors import UnknownEvent
from events.ledger import IS_OPEN
from events.personal import ERASED, ERASED_EMAIL, erased, told
from events.tables import Delivery, LogEntry
from tasks.orders import Order
from tasks.settings import settings
from tasks.timeline import TEXTS, TimelineEntry
from tasks.unfinished import ENDS


class StillOpen(TidingsError):
    """Something the customer ordered is still on its way; without a name and an address it cannot go on."""

    def __init__(self, numbers: Collection[str]) -> None:
        told = f"{', '.join(sorted(numbers))} of this customer has not ended"
        super().__init__(
            f"{told}; wait for it, cancel it, or say --force: it then goes on without a name and an address"
        )


def forget(email: str, *, who: str, why: str = "", force: bool = False) -> dict[str, int]:
    """Erase all that tells of the customer with this address; how many of what were changed. A second time nothing is.

    Raises `StillOpen` while one of the orders has not ended, unless `force` says that they shall go on without the data.
    """
    with transaction() as session:
        rows = _orders(session, email)
        subjects, telling = (
            {row.number for row in rows},
            {text for row in rows for text in _telling(row)},
        )
        person = erasure.find(session, email, subjects=subjects, telling=telling)
        still_open = set() if force else _open(session, rows, person)
        if still_open:
            raise StillOpen(still_open)
        counts = erasure.erase(session, person, who=who, why=why)
    _overwrite(database())
    return counts | {"mail files": _delete_mails(settings().mail_dir, email)}


def _orders(session: Session, email: str) -> Sequence[Order]:
    return session.scalars(select(Order).where(func.lower(Order.email) == email.lower())).all()


def _telling(order: Order) -> Iterator[str]:
    yield order.customer
    if order.address is not None:
        yield from (
            text
            for marker, text in told(type(order.address), order.address.model_dump())
            if marker.telling
        )


def _open(session: Session, rows: Sequence[Order], person: Person) -> set[str]:
    """Orders that have not ended, and what else is on its way about something that is no order."""
    ended = {row.number for row in rows if row.status in ENDS}
    due = exists().where(Delivery.event_id == LogEntry.id, IS_OPEN)
    unfinished = select(LogEntry.subject).where(
        LogEntry.id.in_(person.events), or_(due, LogEntry.relayed_at.is_(None))
    )
    about = {subject or "something without a number" for subject in session.scalars(unfinished)}
    return ({row.number for row in rows} | about) - ended


def _has(column: Any, email: str) -> ColumnElement[bool]:
    return func.lower(cast(column, Text)).contains(email.lower(), autoescape=True)


def remains(email: str) -> list[str]:
    """The columns in which the address still is: of tables whose service has not said how it forgets."""
    columns = [each for table in Base.metadata.sorted_tables for each in table.columns]
    texts = [
        each
        for each in columns
        if isinstance(getattr(each.type, "impl_instance", each.type), String | JSON)
    ]
    with reading() as session:
        return [
            f"{each.table.name}.{each.name}"
            for each in texts
            if session.scalar(select(exists().where(_has(each, email))))
        ]


@erases("orders")
def forget_orders(session: Session, person: Person) -> int:
    """Orders keep lines, total and states. Their links stop working: whoever holds one no longer reads anything."""
    mine = or_(func.lower(Order.email) == person.email.lower(), Order.number.in_(person.subjects))
    rows = session.scalars(select(Order).where(mine, Order.email != ERASED_EMAIL)).all()
    for row in rows:
        if row.address is not None:
            row.address = type(row.address)(**erased(type(row.address), row.address.model_dump()))
        row.customer, row.email, row.reason = ERASED, ERASED_EMAIL, row.reason and ERASED
        row.token, row.updated_at = secrets.token_urlsafe(24), row.updated_at
    mentioned = session.scalars(select(Order).where(_has(Order.reason, person.email))).all()
    for row in mentioned:
        row.reason = erasure.without(row.reason or "", person.email)
    return len(rows) + len(mentioned)


@erases("timeline")
def forget_timeline(session: Session, person: Person) -> int:
    """The timeline is told anew from the events, out of which the person is erased by now."""
    count = 0
    for envelope in log.read(session, person.events):
        entry, text = session.get(TimelineEntry, envelope.id), _told_anew(envelope)
        if entry and text and text != entry.text:
            entry.text = text
            count += 1
    mentioned = session.scalars(
        select(TimelineEntry).where(_has(TimelineEntry.text, person.email))
    ).all()
    for entry in mentioned:
        entry.text = erasure.without(entry.text, person.email)
    return count + len(mentioned)


def _told_anew(envelope: Envelope) -> str | None:
    try:
        event = envelope.event()
    except UnknownEvent:
        return None
    return (
        TEXTS[type(event)](event)
        if isinstance(event, OrderEvent) and type(event) in TEXTS
        else None
    )


def _overwrite(chosen: Database) -> None:
    """SQLite keeps changes in a file beside the database until they are moved over; so the old text goes from there too."""
    if not chosen.sqlite:
        return
    with chosen.writer.connect() as connection:
        cursor = (
            connection.connection.cursor()
        )  # the driver's own: it cannot be done in a transaction
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.close()


def _delete_mails(folder: Path, email: str) -> int:
    """Delete the mails to this address that the local mail sink keeps."""
    mails = [path for path in folder.glob("*.eml") if _is_to(path.read_bytes(), email)]
    for path in mails:
        path.unlink(missing_ok=True)
    return len(mails)


def _is_to(raw: bytes, email: str) -> bool:
    headers = message_from_bytes(
        raw, policy=policy.compat32
    )  # the newer policies fail on some that anybody can send
    named = [str(value) for name in ("To", "Cc", "Bcc") for value in headers.get_all(name, [])]
    return (
        email.casefold() in {address.casefold() for _, address in getaddresses(named)}
        or email.lower().encode() in raw.lower()
    )
