"""Erasure of a customer from the shop; ids, order numbers, lines and amounts stay.

Each service erases from its own tables: see `register_eraser`. Here is what spans them.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from email import message_from_bytes, policy
from email.utils import getaddresses
from pathlib import Path

from sqlalchemy import JSON, Column, String, Text, cast, exists, or_, select
from sqlalchemy.orm import Session

from events import Base, TidingsError, reading, transaction
from events.admin import erasure
from events.admin.person import Person, contains_email, find
from events.admin.slices import Progress
from events.catalog import Address
from events.database import Database, database
from events.emails import email_key, mentions_email
from events.ledger import IS_OPEN
from events.personal import personal_values
from events.tables import Delivery, LogEntry
from tasks.orders import FINAL_STATUSES, Order
from tasks.settings import settings

_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


class OpenOrders(TidingsError):
    """An order of the customer is still open; without name and address it cannot be fulfilled."""

    def __init__(self, numbers: Collection[str]) -> None:
        super().__init__(
            f"{', '.join(sorted(numbers))} of this customer has not ended; wait for the end, cancel"
            " it, or say --force: it is then processed without a name and an address"
        )


def erase(
    email: str, *, who: str, why: str, force: bool = False, progress: Progress | None = None
) -> dict[str, int]:
    """Erase the customer with this address; return how many rows or files of each kind changed.

    The address may be written in any form. It is done in slices; a second run goes on with one that
    was stopped, or changes nothing and is not audited. Raises `OpenOrders` while an order is open,
    unless `force` says that open orders go on without the data, and `ReasonMissing`.
    """
    with reading() as session:
        orders = _orders(session, email)
        person = find(
            session,
            email,
            subjects={order.number for order in orders},
            searchable={text for order in orders for text in _searchable(order)},
        )
        still_open = set() if force else _open(session, orders, person)
    if still_open:
        raise OpenOrders(still_open)
    counts = erasure.erase(person, who=who, why=why, progress=progress)
    _truncate_wal(database())
    mails = _delete_mails(settings().mail_dir, email)
    if mails and not any(counts.values()):
        with transaction() as session:
            erasure.act_of(email, who=who, why=why).record(session, 0, ends=True)
    return counts | {"mail files": mails}


def remaining_columns(email: str) -> list[str]:
    """Return the columns that still contain the address, with the module of their table.

    No eraser covers them.
    """
    columns = [each for table in Base.metadata.sorted_tables for each in table.columns]
    modules = {
        mapper.local_table: f" ({mapper.class_.__module__})" for mapper in Base.registry.mappers
    }
    with reading() as session:
        return [
            f"{each.table.name}.{each.name}{modules.get(each.table, '')}"
            for each in columns
            if _holds_text(each) and _mentions(session, each, email)
        ]


def _holds_text(column: Column[object]) -> bool:
    return isinstance(getattr(column.type, "impl_instance", column.type), String | JSON)


def _mentions(session: Session, column: Column[object], email: str) -> bool:
    """Tell whether a column mentions the address; a longer one in which it is contained is not."""
    found = session.scalars(select(cast(column, Text)).where(contains_email(column, email)))
    return any(mentions_email(_read(text), email) for text in found)


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _orders(session: Session, email: str) -> Sequence[Order]:
    named = session.scalars(select(Order).where(contains_email(Order.email, email)))
    return [order for order in named if email_key(order.email) == email_key(email)]


def _searchable(order: Order) -> Iterator[str]:
    yield order.customer
    if order.address is not None:
        values = personal_values(Address, order.address.model_dump())
        yield from (text for marker, text in values if marker.searchable)


def _open(session: Session, orders: Sequence[Order], person: Person) -> set[str]:
    """Return the numbers of open orders, and the subjects of other events in progress."""
    ended = {order.number for order in orders if order.status in FINAL_STATUSES}
    due = exists().where(Delivery.event_id == LogEntry.id, IS_OPEN)
    in_progress = select(LogEntry.subject).where(
        LogEntry.id.in_(person.events), or_(due, LogEntry.relayed_at.is_(None))
    )
    subjects = {subject or "an event without a subject" for subject in session.scalars(in_progress)}
    return ({order.number for order in orders} | subjects) - ended


def _truncate_wal(chosen: Database) -> None:
    """Empty SQLite's write-ahead log, which contains the old texts until it is overwritten."""
    if not chosen.sqlite:
        return
    with chosen.writer.connect() as connection:
        # The driver's own cursor: a checkpoint is refused inside a transaction.
        cursor = connection.connection.cursor()
        cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of it, while others write
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # keeps writers waiting
        cursor.close()


def _delete_mails(folder: Path, email: str) -> int:
    """Delete the mails to this address from the folder of the local mail sink."""
    mails = [path for path in folder.glob("*.eml") if _is_to(path.read_bytes(), email)]
    for path in mails:
        path.unlink(missing_ok=True)
    return len(mails)


def _is_to(raw: bytes, email: str) -> bool:
    # compat32, because the newer policies raise errors for headers that anybody can send.
    mail = message_from_bytes(raw, policy=policy.compat32)
    named = [str(value) for name in ("To", "Cc", "Bcc") for value in mail.get_all(name, [])]
    if email_key(email) in {email_key(address) for _, address in getaddresses(named)}:
        return True
    parts = [each.get_payload(decode=True) for each in mail.walk() if not each.is_multipart()]
    head = _END_OF_HEAD.split(raw, maxsplit=1)[0]
    texts = [head, *(each for each in parts if isinstance(each, bytes))]
    return mentions_email([each.decode(errors="replace") for each in texts], email)
