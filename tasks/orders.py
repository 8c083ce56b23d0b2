"""The orders service: orders are placed, confirmed and cancelled.

Each change of the status is one statement with the allowed statuses in its condition, so that of
two changes at the same time only one succeeds.
"""

import hmac
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Index,
    Row,
    String,
    Text,
    bindparam,
    exists,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, clock, publish
from events.admin import audit
from events.admin.erasure import register_stage
from events.admin.free_texts import register_free_text
from events.admin.person import Person
from events.admin.slices import Stage
from events.catalog import Address, Line, Money, OrderCancelled, OrderConfirmed
from events.ledger import DEAD_BY_KEY, IS_DEAD, IS_OPEN
from events.lower_case import lowered
from events.orm import BigInt, BigIntPK, PydanticType, table_of
from events.personal import ERASED, ERASED_EMAIL, erased
from events.tables import Delivery, LogEntry
from tasks import reservation_deadline
from tasks.errors import NotCancellable, UnknownOrder
from tasks.order_links import token_reader

OPEN_STATUSES = ("placed", "confirmed")
FINAL_STATUSES = ("shipped", "cancelled")
WITHOUT_ANSWER = ("email", "timeline", "dead_letters")  # queues whose deliveries move no order
_OPEN = text("status IN ('placed', 'confirmed')")


class Order(Base):
    """An order and its progress. `tasks.checkout` maintains its states."""

    __tablename__ = "orders"
    __table_args__ = (
        Index("ix_orders_open", "created_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
    )

    key: Mapped[int] = mapped_column(BigIntPK, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    number: Mapped[str] = mapped_column(String(64), unique=True)
    token: Mapped[str] = mapped_column(String(64))
    # placed, confirmed, shipped, cancelled
    status: Mapped[str] = mapped_column(String(10), default="placed")
    reason: Mapped[str | None] = mapped_column(Text)
    # waiting, reserved, failed, released
    stock: Mapped[str] = mapped_column(String(10), default="waiting")
    # waiting, charged, failed, refunded
    payment: Mapped[str] = mapped_column(String(10), default="waiting")
    # waiting, shipped, cancelled
    shipment: Mapped[str] = mapped_column(String(10), default="waiting")
    customer: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254), index=True)
    address: Mapped[Address | None] = mapped_column(PydanticType(Address))
    lines: Mapped[tuple[Line, ...]] = mapped_column(PydanticType(tuple[Line, ...]))
    total_amount: Mapped[BigInt]
    currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime] = mapped_column(onupdate=clock.now)

    @property
    def total(self) -> Money:
        """The sum of the lines."""
        return Money(amount=self.total_amount, currency=self.currency)


register_free_text(Order.reason)


@register_stage("orders", last=True)
def erase_orders(person: Person) -> Stage:
    """Erase the person from their orders and revoke the links; lines, totals and states stay."""
    theirs = or_(lowered(Order.email).in_(person.spellings), Order.number.in_(person.subjects))
    left = select(Order.id).where(theirs, Order.email != ERASED_EMAIL)

    def change(session: Session, ids: Sequence[str], _: object) -> int:
        rows = session.scalars(select(Order).where(Order.id.in_(ids))).all()
        for row in rows:
            if row.address is not None:
                row.address = Address(**erased(Address, row.address.model_dump()))
            row.customer, row.email, row.reason = ERASED, ERASED_EMAIL, row.reason and ERASED
            row.token = secrets.token_urlsafe(24)
        return len(rows)

    return Stage(lambda session, limit: session.scalars(left.limit(limit)).all(), change)


def cancel(session: Session, order_id: str, *, reason: str, who: str | None) -> Order:
    """Cancel an order that is not shipped; without `who` it is the act of the customer.

    Raises `UnknownOrder`, `NotCancellable`, and `ReasonMissing` for an operator without a reason.
    """
    reason = reason or ("cancelled by the customer" if who is None else "")
    cancelled = cancel_if_open(session, order_id, reason)
    order = find(session, order_id)
    if cancelled is None:
        raise NotCancellable(order.number, order.status)
    publish(session, cancelled, subject=order.number)
    audit.record(session, action="cancel", target=order.number, why=reason, **audit.by(who))
    return order


def cancel_if_open(session: Session, order_id: str, reason: str) -> OrderCancelled | None:
    """Cancel an order unless it is shipped or cancelled; return the event, or nothing."""
    changes = {"status": "cancelled", "shipment": "cancelled", "reason": reason}
    order = _update(session, order_id, OPEN_STATUSES, changes)
    if order is None:
        return None
    if order.stock == "reserved" and order.payment != "charged":
        reservation_deadline.stop(session, order.id)
    return OrderCancelled(order_id=order.id, number=order.number, email=order.email, reason=reason)


def confirm(session: Session, order_id: str) -> OrderConfirmed | None:
    """Confirm an order that is still placed; return the event, or nothing."""
    order = _update(session, order_id, ("placed",), {"status": "confirmed"})
    if order is None:
        return None
    return OrderConfirmed(
        order_id=order.id,
        number=order.number,
        customer=order.customer,
        email=order.email,
        lines=order.lines,
        total=Money(amount=order.total_amount, currency=order.currency),
        shipping_address=order.address,
    )


_TABLE = table_of(Order)
_CHANGE = (
    update(_TABLE)
    .where(
        _TABLE.c.id == bindparam("order_id"),
        _TABLE.c.status.in_(bindparam("allowed", expanding=True)),
    )
    .returning(*_TABLE.c)
)


def _update(
    session: Session, order_id: str, allowed: Sequence[str], changes: Mapping[str, str]
) -> Row[Any] | None:
    """Change an order in one statement if its status is an allowed one."""
    session.flush()
    values = {"order_id": order_id, "allowed": allowed, **changes}
    return session.connection().execute(_CHANGE, values).one_or_none()


def find(session: Session, order_id: str) -> Order:
    """Return the order with this id. Raises `UnknownOrder`."""
    session.flush()
    wanted = select(Order).where(Order.id == order_id).execution_options(populate_existing=True)
    order = session.scalars(wanted).one_or_none()
    if order is None:
        raise UnknownOrder(order_id)
    return order


_TOKENS = select(Order.id, Order.token).where(Order.id.in_(bindparam("ids", expanding=True)))


@token_reader
def tokens_of(session: Session, order_ids: Collection[str]) -> dict[str, str]:
    """Return the tokens that open the orders' pages, by the ids of those that exist."""
    return {row.id: row.token for row in session.execute(_TOKENS, {"ids": order_ids})}


def listed(session: Session, limit: int = 50, before: int | None = None) -> Sequence[Order]:
    """Return the latest orders, newest first; `before` is the last key of the previous page."""
    wanted = select(Order).order_by(Order.key.desc()).limit(limit)
    return session.scalars(wanted if before is None else wanted.where(Order.key < before)).all()


def without_next_step(
    session: Session, *, limit: int = 100, among: Collection[str] | None = None
) -> Sequence[Order]:
    """Return the oldest open orders without an event to relay, an open delivery or a dead letter.

    `among` are the ids of the orders in question, unless it is all of them.

    It comes to that when the delivery of a step was discarded: the answer never comes. A mail is
    no step. One statement reads orders and deliveries, so no order in progress is returned.
    """
    open_or_dead = exists().where(
        Delivery.event_id == LogEntry.id,
        Delivery.queue.not_in(WITHOUT_ANSWER),
        or_(IS_OPEN, IS_DEAD),
    )
    in_progress = exists().where(
        LogEntry.subject == Order.number, or_(LogEntry.relayed_at.is_(None), open_or_dead)
    )
    # SQLite uses the index only if it sees the statuses in the statement.
    statuses: Any = bindparam("statuses", OPEN_STATUSES, expanding=True, literal_execute=True)
    wanted = select(Order).where(Order.status.in_(statuses), ~in_progress)
    if among is not None:
        wanted = wanted.where(Order.id.in_(among))
    return session.scalars(wanted.order_by(Order.created_at).limit(limit)).all()


def with_dead_letter(session: Session, numbers: Collection[str]) -> set[str]:
    """Return those of these order numbers that have a dead letter."""
    dead = select(LogEntry.subject).join(Delivery, Delivery.event_id == LogEntry.id)
    return {
        number
        for number in session.scalars(dead.where(DEAD_BY_KEY, LogEntry.subject.in_(numbers)))
        if number
    }


def may_read(order: Order, token: str | None) -> bool:
    """Return true if `token` is the order's own; they are compared in constant time."""
    return hmac.compare_digest(order.token.encode(), (token or "").encode(errors="replace"))
