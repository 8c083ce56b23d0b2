"""The audit of the tables after a run: effects that were lost, and effects that happened twice.

Each check yields its findings as text; without findings its promise was kept.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events.tables import Delivery, LogEntry, SubscriptionRow
from tasks.email import Mail
from tasks.gateways.payment import SandboxCharge, SandboxRefund
from tasks.gateways.shipping import SandboxParcel
from tasks.inventory import Movement, Stock
from tasks.orders import FINAL_STATUSES, Order
from tasks.timeline import TEXTS, TimelineEntry

# The mails of an order, by its final status.
EXPECTED_MAILS = {
    "shipped": ("received", "confirmed", "shipped"),
    "cancelled": ("received", "cancelled"),
}
_ORDER_ID = LogEntry.data["order_id"].as_string()


@dataclass(frozen=True)
class Accepted:
    """An order that the shop accepted; `cancelled` if it also accepted its cancellation."""

    id: str
    email: str
    cancelled: bool = False


def audit(session: Session, accepted: Sequence[Accepted]) -> list[str]:
    """Return all findings."""
    checks: list[Callable[[Session], Iterable[str]]] = [
        partial(accepted_orders_exist, accepted=accepted),
        orders_have_ended,
        deliveries_are_done,
        events_were_fanned_out,
        events_happened_once,
        stock_balances,
        money_balances,
        parcels_fit,
        mails_were_sent,
        timelines_are_whole,
    ]
    return [finding for check in checks for finding in check(session)]


def accepted_orders_exist(session: Session, accepted: Sequence[Accepted]) -> Iterator[str]:
    """Check that each accepted order exists once, although its request was repeated."""
    orders = {order.id: order for order in session.scalars(select(Order))}
    of_customer = Counter(order.email for order in orders.values())
    for each in accepted:
        order = orders.get(each.id)
        if order is None:
            yield f"order {each.id} was accepted but does not exist"
        elif of_customer[each.email] > 1:
            count = of_customer[each.email]
            yield f"{order.number} was placed with one key but exists {count} times"
        elif each.cancelled and order.status != "cancelled":
            yield f"{order.number} was cancelled by its customer but is {order.status}"


def orders_have_ended(session: Session) -> Iterator[str]:
    """Check that every order is shipped or cancelled."""
    for order in session.scalars(select(Order).where(Order.status.not_in(FINAL_STATUSES))):
        yield (
            f"{order.number} has not ended: {order.status}, stock {order.stock}, "
            f"payment {order.payment}, shipment {order.shipment}"
        )


def deliveries_are_done(session: Session) -> Iterator[str]:
    """Check that every event is relayed and every delivery is done."""
    unrelayed = session.scalar(
        select(func.count(LogEntry.position)).where(LogEntry.relayed_at.is_(None))
    )
    if unrelayed:
        yield f"{unrelayed} events were never relayed"
    undone = select(Delivery, LogEntry.type, LogEntry.subject).join(
        LogEntry, LogEntry.id == Delivery.event_id
    )
    for row, event_type, subject in session.execute(undone.where(Delivery.state != "done")):
        error = f": {row.error}" if row.error else ""
        yield (
            f"{row.subscription} has not handled {event_type} of {subject}: "
            f"{row.state} after {row.sends} sends{error}"
        )


def events_were_fanned_out(session: Session) -> Iterator[str]:
    """Check that every event has a delivery for each subscription to its type."""
    events = Counter(session.scalars(select(LogEntry.type)))
    deliveries = Counter(session.scalars(select(Delivery.subscription)))
    for row in session.scalars(select(SubscriptionRow)):
        expected = sum(events[event_type] for event_type in row.event_types)
        if expected != deliveries[row.name]:
            yield f"{row.name} has deliveries of {deliveries[row.name]} of {expected} events"


def events_happened_once(session: Session) -> Iterator[str]:
    """Check that no event about an order was published twice."""
    duplicates = (
        select(LogEntry.type, LogEntry.subject, func.count())
        .where(_ORDER_ID.is_not(None))
        .group_by(LogEntry.type, LogEntry.subject, _ORDER_ID)
        .having(func.count() > 1)
    )
    for event_type, subject, count in session.execute(duplicates):
        yield f"{event_type} happened {count} times to {subject}"


def stock_balances(session: Session) -> Iterator[str]:
    """Check that movements add up to the stock, and those of an order to its lines if shipped."""
    moved: Counter[str] = Counter()
    by_order: defaultdict[str | None, list[Movement]] = defaultdict(list)
    for each in session.scalars(select(Movement)):
        moved[each.sku] += each.quantity
        by_order[each.order_id].append(each)
    for stock in session.scalars(select(Stock)):
        if stock.available != moved[stock.sku]:
            yield (
                f"the stock of {stock.sku} is {stock.available}, but its movements add up to "
                f"{moved[stock.sku]}"
            )
    for order in session.scalars(select(Order)):
        movements = by_order[order.id]
        for (sku, reason), count in Counter((each.sku, each.reason) for each in movements).items():
            if count > 1:
                yield f"{sku} was {reason} {count} times for {order.number}"
        taken: Counter[str] = Counter()
        for each in movements:
            taken[each.sku] -= each.quantity
        expected = (
            {line.sku: line.quantity for line in order.lines} if order.status == "shipped" else {}
        )
        if {sku: count for sku, count in taken.items() if count} != expected:
            yield (
                f"{order.number} is {order.status} and took {dict(taken)} from the stock "
                f"instead of {expected}"
            )


def money_balances(session: Session) -> Iterator[str]:
    """Check that the gateway charged each order at most once, and keeps the total if shipped."""
    owners = _owners(session)
    refunded = set(session.scalars(select(SandboxRefund.charge_id)))
    charges: defaultdict[str | None, list[SandboxCharge]] = defaultdict(list)
    for each in session.scalars(select(SandboxCharge).where(SandboxCharge.charge_id.is_not(None))):
        charges[_owner(owners, each.key)].append(each)
    for order in session.scalars(select(Order)):
        taken = charges.pop(order.id, [])
        if len(taken) > 1:
            yield f"{order.number} was charged {len(taken)} times at the gateway"
        kept = sum(each.amount for each in taken if each.charge_id not in refunded)
        expected = order.total_amount if order.status == "shipped" else 0
        if kept != expected:
            yield (
                f"{order.number} is {order.status} and the gateway keeps {kept} of its money "
                f"instead of {expected}"
            )
    for each in (each for foreign in charges.values() for each in foreign):
        yield f"charge {each.charge_id} at the gateway belongs to no order"


def parcels_fit(session: Session) -> Iterator[str]:
    """Check that each shipped order has one parcel, and no other order has any."""
    owners = _owners(session)
    keys = session.scalars(select(SandboxParcel.key).where(SandboxParcel.recalled_at.is_(None)))
    parcels = Counter(_owner(owners, key) for key in keys)
    for order in session.scalars(select(Order)):
        count, expected = parcels.pop(order.id, 0), int(order.status == "shipped")
        if count != expected:
            yield (
                f"{order.number} is {order.status} and has {count} parcels instead of {expected}"
            )
    if parcels:
        yield f"{parcels.total()} parcels belong to no order"


def mails_were_sent(session: Session) -> Iterator[str]:
    """Check that each customer was sent the mails of the order's status.

    A duplicate needs no check: the table's key excludes it.
    """
    sent = {
        (order_id, kind) for order_id, kind in session.execute(select(Mail.order_id, Mail.kind))
    }
    for order in session.scalars(select(Order)):
        kinds = [
            *EXPECTED_MAILS.get(order.status, ()),
            *(["refunded"] if order.payment == "refunded" else []),
        ]
        for kind in kinds:
            if (order.id, kind) not in sent:
                yield f"the mail `{kind}` of {order.number} was never sent"


def timelines_are_whole(session: Session) -> Iterator[str]:
    """Check that every event about an order has an entry in its timeline."""
    types = [event_class.type for event_class in TEXTS]
    missing = select(LogEntry.type, LogEntry.subject).where(
        LogEntry.type.in_(types), LogEntry.id.not_in(select(TimelineEntry.event_id))
    )
    for event_type, subject in session.execute(missing):
        yield f"the timeline of {subject} lacks {event_type}"


def _owners(session: Session) -> dict[str, str]:
    """Return the order's id for each event's id and for each order's own."""
    rows = session.execute(select(LogEntry.id, _ORDER_ID)).all()
    orders = {order_id: order_id for _, order_id in rows if order_id}
    return orders | {str(event_id): order_id for event_id, order_id in rows if order_id}


def _owner(owners: dict[str, str], key: str) -> str | None:
    """Return the order of a gateway call, whose key begins with the id of event or order."""
    return owners.get(key.partition(":")[0])
