"""The trace of an order on one time axis, with the path that took the time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from events.admin.trace import TracedDelivery
from events.catalog import (
    InventoryReserved,
    OrderCancelled,
    OrderShipped,
    PaymentCharged,
    PaymentOrphaned,
    ShipmentOrphaned,
)
from events.ledger import OPEN, State
from events.traces import critical_path, timed
from events.traces.critical_path import Leg
from events.traces.segments import Segment, clipped
from events.traces.timed import TimedEvent, Track
from tasks import stuck_orders
from tasks.durations import duration_text
from tasks.order_trace_rows import DeliveryRow, EventRow, OrderTrace, Part, SegmentRow
from tasks.orders import FINAL_STATUSES, WITHOUT_ANSWER, Order

INTERNAL = ("timeline", "dead_letters")  # queues that do nothing for the order
COMPENSATED = {each.type for each in (OrderCancelled, PaymentOrphaned, ShipmentOrphaned)}
UNDOABLE = {each.type for each in (InventoryReserved, PaymentCharged, OrderShipped)}
MAX_SUMMARY = 90  # characters
NO_WORK = "between two requests"


def of(session: Session, order: Order, *, now: datetime) -> OrderTrace:
    """Return the trace of an order; what is open goes on until `now`."""
    traced = timed.of(session, order.number, now=now)
    legs = critical_path.find(traced, _moves_the_order, settled=order.status in FINAL_STATUSES)
    parts = [part for leg in legs for part in _parts(leg)]
    placed_at = traced[0].at if traced else order.created_at
    until = legs[-1].end if legs else placed_at
    took = (until - placed_at).total_seconds()
    shown = [event for event in traced if event.envelope.source != "bus"]
    first = shown[0].envelope if shown else None
    return OrderTrace(
        id=order.id,
        number=order.number,
        status=order.status,
        reason=order.reason,
        summary=_summary(order, parts, took, traced),
        trace_id=first.traceparent.split("-")[1] if first and first.traceparent else None,
        placed_at=placed_at,
        until=until,
        took=took,
        final=_is_final(order, traced),
        critical_path=parts,
        events=[_event_row(event, shown, legs) for event in shown],
        waits=stuck_orders.waits_of(session, [order])[order.number],
        left_out=_left_out(traced),
    )


def _moves_the_order(delivery: TracedDelivery) -> bool:
    return delivery.queue not in WITHOUT_ANSWER


def _is_final(order: Order, traced: Sequence[TimedEvent]) -> bool:
    is_open = any(track.delivery.state in OPEN for event in traced for track in event.tracks)
    relayed = all(event.relayed for event in traced)
    return order.status in FINAL_STATUSES and relayed and not is_open


def _parts(leg: Leg) -> Iterator[Part]:
    what = NO_WORK
    if leg.event is not None:
        what = leg.track.delivery.subscription if leg.track else leg.event.envelope.type
    event_id = leg.event.envelope.id if leg.event else None
    delivery_id = leg.track.delivery.id if leg.track else None
    for each in leg.segments():
        yield Part(what, each.kind, each.text, each.start, each.took, event_id, delivery_id)


def _summary(order: Order, parts: Sequence[Part], took: float, traced: Sequence[TimedEvent]) -> str:
    """Say in one line how long it took, and which part of it took longest."""
    total = duration_text(took)
    done = order.status in FINAL_STATUSES
    text = f"{order.status.capitalize()} after {total}" if done else f"Not done after {total}"
    if not traced:
        return "The log has no event of this order"
    times: defaultdict[str, float] = defaultdict(float)
    for part in parts:
        times[part.what] += part.took
    if not times or not took:
        return text
    longest = max(times, key=lambda what: times[what])
    where = longest if longest == NO_WORK else f"in {longest}"
    share = f"; {duration_text(times[longest])} of it {where}"
    return text + share if len(text + share) <= MAX_SUMMARY else text


def _event_row(event: TimedEvent, shown: Sequence[TimedEvent], legs: Sequence[Leg]) -> EventRow:
    envelope = event.envelope
    tracks = [each for each in event.tracks if each.delivery.queue not in INTERNAL]
    return EventRow(
        id=envelope.id,
        type=envelope.type,
        version=envelope.version,
        source=envelope.source,
        at=event.at,
        request=_request(event) if envelope.causation_id is None else None,
        relayed=event.relayed,
        critical=any(leg.event is event for leg in legs),
        deliveries=[_delivery_row(event, track, shown, legs) for track in tracks],
    )


def _request(event: TimedEvent) -> str:
    actor = event.envelope.actor
    parts = [f"by {actor.user or 'a guest'}", f"of {actor.tenant}" if actor.tenant else ""]
    return " ".join([*filter(None, parts), f"from {actor.ip}" if actor.ip else ""]).strip()


def _delivery_row(
    event: TimedEvent, track: Track, shown: Sequence[TimedEvent], legs: Sequence[Leg]
) -> DeliveryRow:
    delivery = track.delivery
    compensates = event.envelope.type in COMPENSATED and _moves_the_order(delivery)
    ours = [leg for leg in legs if leg.track is track]
    return DeliveryRow(
        id=delivery.id,
        subscription=delivery.subscription,
        state=delivery.state,
        attempts=delivery.attempts + (delivery.state == State.DONE),
        start=track.start,
        end=track.end,
        took=(track.end - track.start).total_seconds(),
        critical=bool(ours),
        compensates=compensates,
        undoes=_undone(event, delivery, shown) if compensates else None,
        flower_task_id=delivery.flower_task_id,
        segments=[_segment_row(each, ours) for each in track.segments],
    )


def _segment_row(segment: Segment, legs: Sequence[Leg]) -> SegmentRow:
    critical = any(True for leg in legs for _ in clipped([segment], leg.start, leg.end))
    return SegmentRow(
        segment.kind, segment.text, segment.start, segment.end, segment.took, critical
    )


def _undone(event: TimedEvent, delivery: TracedDelivery, shown: Sequence[TimedEvent]) -> str | None:
    """Return the type of the event by which the same service had done what is undone."""
    done = [
        each.envelope.type
        for each in shown
        if each.envelope.type in UNDOABLE
        and each.envelope.source == delivery.queue
        and each.at <= event.at
    ]
    return done[-1] if done else None


def _left_out(traced: Sequence[TimedEvent]) -> dict[str, int]:
    found: defaultdict[str, int] = defaultdict(int)
    for event in traced:
        for track in event.tracks:
            if track.delivery.queue in INTERNAL or event.envelope.source == "bus":
                found[track.delivery.subscription] += 1
    return dict(found)
