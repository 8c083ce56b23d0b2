"""The doubts after a restore: acts of the gateways that the restored log does not know.

Most acts after the backup are found again by their key, when the deliveries run again. A person has
to decide about the rest: an order that was placed after the backup is gone from the log, and so is
a cancellation.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import clock
from events.tables import LogEntry
from tasks import gateways, restores
from tasks.gateways.ports import ChargeRecord, ParcelRecord
from tasks.money import money_text
from tasks.orders import Order
from tasks.payment import Charge
from tasks.shipping import PARCEL_KEY, Shipment

LOOK_BACK = timedelta(days=1)  # without a restore
_EVER = datetime(1970, 1, 1, tzinfo=UTC)  # of a log that was empty
_SLICE = 500  # keys in one statement
_ORDER_ID = LogEntry.data["order_id"].as_string()


@dataclass(frozen=True)
class Doubt:
    """An act of a gateway that contradicts the log; `number` is of the order, if it is known."""

    gateway: str
    act: str
    at: datetime
    number: str | None
    reason: str
    fix: str


def listed(session: Session) -> list[Doubt]:
    """Return the doubts that the unsettled restores left, oldest first.

    Without such a restore only acts for unknown orders count, of the last day and after the last
    settlement: they show that a backup was restored by hand. Raises `NotNow` if a gateway cannot
    be asked.
    """
    open_restores = restores.unsettled(session)
    since = _beginning(session, open_restores)
    found = [*_of_charges(session, since), *_of_parcels(session, since)]
    if not open_restores:
        found = [each for each in found if each.number is None]
    return sorted(found, key=lambda each: each.at)


def _beginning(session: Session, open_restores: Sequence[restores.Restore]) -> datetime:
    if open_restores:
        return min(each.log_end or _EVER for each in open_restores)
    recent, settled = clock.now() - LOOK_BACK, restores.last_settled(session)
    return max(recent, settled) if settled else recent


def _of_charges(session: Session, since: datetime) -> Iterator[Doubt]:
    records = gateways.payments().charges(since)
    orders = _orders_of_charges(session, records)
    for each in records:
        act = f"charge {each.charge_id} of {money_text(each.total)}"
        order = orders.get(each.charge_id)
        if order is None and not each.refunded:
            reason = "the log does not know its order"
            yield Doubt("payment", act, each.at, None, reason, "refund it at the provider")
        elif order and each.refunded and order.status != "cancelled":
            reason = f"it is refunded there, and {order.number} is {order.status} here"
            yield Doubt("payment", act, each.at, order.number, reason, "cancel the order")


def _orders_of_charges(session: Session, records: Collection[ChargeRecord]) -> dict[str, Order]:
    """Return the order of each charge id, as far as the log or the payment service knows it."""
    events = {event_id: each.charge_id for each in records if (event_id := _event_id(each.key))}
    order_ids = {
        events[event_id]: order_id
        for ids in _slices(events)
        for event_id, order_id in session.execute(
            select(LogEntry.id, _ORDER_ID).where(LogEntry.id.in_(ids))
        )
    }
    for ids in _slices([each.charge_id for each in records]):
        known = select(Charge.charge_id, Charge.order_id).where(Charge.charge_id.in_(ids))
        order_ids |= {str(charge_id): order_id for charge_id, order_id in session.execute(known)}
    orders = _orders(session, order_ids.values())
    return {charge: orders[each] for charge, each in order_ids.items() if each in orders}


def _event_id(key: str) -> UUID | None:
    try:
        return UUID(key.partition(":")[0])
    except ValueError:  # the key of another publisher
        return None


def _of_parcels(session: Session, since: datetime) -> Iterator[Doubt]:
    records = gateways.carrier().parcels(since)
    order_ids = {each.tracking: each.key.removesuffix(PARCEL_KEY) for each in records}
    orders = _orders(session, order_ids.values())
    known = {
        row.order_id
        for ids in _slices(order_ids.values())
        for row in session.scalars(select(Shipment).where(Shipment.order_id.in_(ids)))
        if row.tracking
    }
    for each in records:
        order_id = order_ids[each.tracking]
        yield from _of_parcel(each, orders.get(order_id), recorded=order_id in known)


def _of_parcel(parcel: ParcelRecord, order: Order | None, *, recorded: bool) -> Iterator[Doubt]:
    act = f"parcel {parcel.tracking}"
    if order is None and not parcel.recalled:
        reason = "the log does not know its order"
        yield Doubt("shipping", act, parcel.at, None, reason, "recall it at the carrier")
    elif order and order.status == "cancelled" and not parcel.recalled and not recorded:
        reason = f"it is on its way, and {order.number} is cancelled here"
        yield Doubt("shipping", act, parcel.at, order.number, reason, "recall it at the carrier")
    elif order and order.status != "cancelled" and parcel.recalled:
        reason = f"it is recalled there, and {order.number} is {order.status} here"
        yield Doubt("shipping", act, parcel.at, order.number, reason, "cancel the order")


def _orders(session: Session, order_ids: Collection[str]) -> dict[str, Order]:
    return {
        order.id: order
        for ids in _slices(order_ids)
        for order in session.scalars(select(Order).where(Order.id.in_(ids)))
    }


def _slices(keys: Collection[object]) -> Iterator[list[object]]:
    every = list(keys)
    for start in range(0, len(every), _SLICE):
        yield every[start : start + _SLICE]
