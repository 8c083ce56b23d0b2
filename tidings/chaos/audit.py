"""The audit: what the tables say, after everything was broken, about what was lost and what was done twice.

Each check reads one session and yields its findings in words; no finding is the promise kept.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events.ledger import IS_OPEN
from events.tables import Delivery, LogEntry, SubscriptionRow
from tasks.email import Mail
from tasks.gateways.payment import SandboxCharge, SandboxRefund
from tasks.gateways.shipping import SandboxParcel
from tasks.inventory import Movement, Stock
from tasks.orders import FINAL_STATUSES, Order
from tasks.timeline import TEXTS, TimelineEntry

TOLD = {
    "shipped": ("received", "confirmed", "shipped"),
    "cancelled": ("received", "cancelled"),
}  # the mails that each end needs
_ORDER_ID = LogEntry.data["order_id"].as_string()


@dataclass(frozen=True)
class Accepted:
    """An order that the shop said it took; `cancelled` if it also said that the customer's cancelling came in time."""

    id: str
    email: str
    cancelled: bool = False


def audit(session: Session, accepted: Sequence[Accepted]) -> list[str]:
    """Every breach of a promise, in words."""
    checks: list[Callable[[Session], Iterable[str]]] = [
        partial(accepted_orders_are_there, accepted=accepted),
        orders_have_ended,
        deliveries_are_done,
        every_handler_heard,
        events_happened_once,
        stock_balances,
        money_balances,
        parcels_fit,
        mails_were_sent,
        timelines_are_whole,
    ]
    return [finding for check in checks for finding in check(session)]


@dataclass(frozen=True)
class StillOpen:
    """What is under way: events to be relayed, deliveries to be handled, and how many are handled already."""

    events: int
    deliveries: int
    done: int

    @property
    def nothing(self) -> bool:
        """Whether all has come to rest."""
        return not self.events and not self.deliveries


def still_open(session: Session) -> StillOpen:
    """What is under way now."""
    unrelayed = select(func.count(LogEntry.position)).where(LogEntry.relayed_at.is_(None))
    deliveries = select(func.count(Delivery.subscription))
    counts = [
        session.scalar(each) or 0
        for each in (
            unrelayed,
            deliveries.where(IS_OPEN),
            deliveries.where(Delivery.state == "done"),
        )
    ]
    return StillOpen(*counts)


def accepted_orders_are_there(session: Session, accepted: Sequence[Accepted]) -> Iterator[str]:
    """What the shop accepted is there, once for each customer who asked again and again with one key."""
    orders = {order.id: order for order in session.scalars(select(Order))}
    of_customer = Counter(order.email for order in orders.values())
    for each in accepted:
        order = orders.get(each.id)
        if order is None:
            yield f"order {each.id} was accepted and is not there"
        elif of_customer[each.email] > 1:
            yield f"{order.number} was placed with one key and is there {of_customer[each.email]} times"
        elif each.cancelled and order.status != "cancelled":
            yield f"{order.number} was cancelled by its customer and is {order.status}"


def orders_have_ended(session: Session) -> Iterator[str]:
    """Every order is shipped or cancelled."""
    for order in session.scalars(select(Order).where(Order.status.not_in(FINAL_STATUSES))):
        yield f"{order.number} has not ended: {order.status}, stock {order.stock}, payment {order.payment}, shipment {order.shipment}"


def deliveries_are_done(session: Session) -> Iterator[str]:
    """Every event is relayed, every delivery is done."""
    unrelayed = session.scalar(
        select(func.count(LogEntry.position)).where(LogEntry.relayed_at.is_(None))
    )
    if unrelayed:
        yield f"{unrelayed} events were never relayed"
    undone = select(Delivery, LogEntry.type, LogEntry.subject).join(
        LogEntry, LogEntry.id == Delivery.event_id
    )
    for row, type, subject in session.execute(undone.where(Delivery.state != "done")):
        why = f": {row.error}" if row.error else ""
        yield f"{row.subscription} has not handled {type} of {subject}: {row.state} after {row.sends} sends{why}"


def every_handler_heard(session: Session) -> Iterator[str]:
    """Every event has a delivery for each subscription that hears its type."""
    events = Counter(session.scalars(select(LogEntry.type)))
    heard = Counter(session.scalars(select(Delivery.subscription)))
    for row in session.scalars(select(SubscriptionRow)):
        owed = sum(events[type] for type in row.event_types)
        if owed != heard[row.name]:
            yield f"{row.name} was given {heard[row.name]} of {owed} events"


def events_happened_once(session: Session) -> Iterator[str]:
    """No fact about an order is told twice."""
    doubled = (
        select(LogEntry.type, LogEntry.subject, func.count())
        .where(_ORDER_ID.is_not(None))
        .group_by(LogEntry.type, LogEntry.subject, _ORDER_ID)
        .having(func.count() > 1)
    )
    for type, subject, count in session.execute(doubled):
        yield f"{type} happened {count} times to {subject}"


def stock_balances(session: Session) -> Iterator[str]:
    """Movements add up to the stock, and shipped orders' lines are what left the shelf."""
    moved: Counter[str] = Counter()
    by_order: defaultdict[str | None, list[Movement]] = defaultdict(list)
    for each in session.scalars(select(Movement)):
        moved[each.sku] += each.quantity
        by_order[each.order_id].append(each)
    for stock in session.scalars(select(Stock)):
        if stock.available != moved[stock.sku]:
            yield f"{stock.available} of {stock.sku} are on the shelf, and its movements add up to {moved[stock.sku]}"
    for order in session.scalars(select(Order)):
        movements = by_order[order.id]
        for (sku, reason), count in Counter((each.sku, each.reason) for each in movements).items():
            if count > 1:
                yield f"{sku} was {reason} {count} times for {order.number}"
        left: Counter[str] = Counter()
        for each in movements:
            left[each.sku] -= each.quantity
        owed = (
            {line.sku: line.quantity for line in order.lines} if order.status == "shipped" else {}
        )
        if {sku: count for sku, count in left.items() if count} != owed:
            yield f"{order.number} is {order.status} and took {dict(left)} off the shelf instead of {owed}"


def money_balances(session: Session) -> Iterator[str]:
    """One charge per order at the gateway; what was not given back is the total of the orders that were shipped."""
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
        owed = order.total_amount if order.status == "shipped" else 0
        if kept != owed:
            yield f"{order.number} is {order.status} and the gateway keeps {kept} of its money instead of {owed}"
    for each in (each for strangers in charges.values() for each in strangers):
        yield f"charge {each.charge_id} at the gateway belongs to no order"


def parcels_fit(session: Session) -> Iterator[str]:
    """One parcel per shipped order, and none on its way for any other."""
    owners = _owners(session)
    given = session.scalars(select(SandboxParcel.key).where(SandboxParcel.recalled_at.is_(None)))
    parcels = Counter(_owner(owners, key) for key in given)
    for order in session.scalars(select(Order)):
        count, owed = parcels.pop(order.id, 0), int(order.status == "shipped")
        if count != owed:
            yield f"{order.number} is {order.status} and has {count} parcels on the way instead of {owed}"
    if parcels:
        yield f"{parcels.total()} parcels belong to no order"


def mails_were_sent(session: Session) -> Iterator[str]:
    """The customer was told of the order and of its end; a second record of one mail the table itself refuses."""
    sent = {
        (order_id, kind) for order_id, kind in session.execute(select(Mail.order_id, Mail.kind))
    }
    for order in session.scalars(select(Order)):
        kinds = [
            *TOLD.get(order.status, ()),
            *(["refunded"] if order.payment == "refunded" else []),
        ]
        for kind in kinds:
            if (order.id, kind) not in sent:
                yield f"the customer of {order.number} was sent no mail that it is {kind}"


def timelines_are_whole(session: Session) -> Iterator[str]:
    """Every event about an order has its line."""
    types = [type.type for type in TEXTS]
    untold = select(LogEntry.type, LogEntry.subject).where(
        LogEntry.type.in_(types), LogEntry.id.not_in(select(TimelineEntry.event_id))
    )
    for type, subject in session.execute(untold):
        yield f"the timeline of {subject} lacks {type}"


def _owners(session: Session) -> dict[str, str]:
    """The order of each event, by the event's id."""
    return {
        str(id): order_id
        for id, order_id in session.execute(select(LogEntry.id, _ORDER_ID))
        if order_id
    }


def _owner(owners: dict[str, str], key: str) -> str | None:
    """The order on whose behalf the world was called with this key, which begins with the event's id."""
    return owners.get(key.partition(":")[0])
