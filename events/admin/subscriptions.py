"""Subscriptions as rows: register, pause, resume, unregister, backfill."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any
from uuid import UUID

from sqlalchemy import and_, exists, or_, select, update
from sqlalchemy.orm import Session

from events import clock, ledger, log
from events.admin import audit, retention
from events.database import transaction
from events.dialects import dialect_of
from events.errors import UnknownSubscription
from events.ledger import IS_DEAD, IS_OPEN
from events.retry import Retry
from events.subscriptions import Subscription
from events.tables import Delivery, LogEntry, SubscriptionRow


def register(session: Session, subscriptions: Iterable[Subscription]) -> None:
    """Insert or update the rows of these subscriptions, and mark all as seen now."""
    _wait_for_fan_outs(session)
    known = {row.name: row for row in session.scalars(select(SubscriptionRow))}
    now = clock.now()
    for subscription in subscriptions:
        values = _values(subscription) | {"last_seen": now}
        row = known.get(subscription.name)
        if row is None:
            session.add(SubscriptionRow(name=subscription.name, first_registered=now, **values))
        else:
            for name, value in values.items():
                setattr(row, name, value)
    session.flush()


def _wait_for_fan_outs(session: Session) -> None:
    """Wait for the fan-outs under way.

    An event is relayed either with the subscriptions registered now or before the backfill.
    """
    dialect_of(session).lock_table(session, SubscriptionRow.__tablename__)


def _values(subscription: Subscription) -> dict[str, Any]:
    return {
        "queue": subscription.queue,
        "event_types": subscription.event_types,
        "policy": asdict(subscription.retry),
        "batch": subscription.batch,
    }


def touch(subscriptions: Iterable[Subscription]) -> None:
    """Register missing subscriptions, and mark the others as served now, in its own transaction.

    Of an existing row only the list of types grows, for the caller may be the older worker of two:
    the rest is changed by `register`, at `tidings migrate`.
    """
    wanted = {each.name: each for each in subscriptions}
    ours = SubscriptionRow.name.in_(wanted)
    with transaction() as session:
        rows = {row.name: row for row in session.scalars(select(SubscriptionRow).where(ours))}
        if missing := [each for name, each in wanted.items() if name not in rows]:
            register(session, missing)
        if wider := [row for row in rows.values() if _new_types(row, wanted[row.name])]:
            _wait_for_fan_outs(session)
            for row in wider:
                session.refresh(row)
                row.event_types = sorted({*row.event_types, *wanted[row.name].event_types})
            session.flush()
        # In any other order two of these, or one and a fan-out, could block each other.
        in_order = select(SubscriptionRow.name).where(ours).order_by(SubscriptionRow.name)
        session.execute(in_order.with_for_update())
        session.execute(update(SubscriptionRow).where(ours).values(last_seen=clock.now()))


def _new_types(row: SubscriptionRow, subscription: Subscription) -> set[str]:
    return set(subscription.event_types) - set(row.event_types)


def listed(session: Session) -> Sequence[SubscriptionRow]:
    """Return every subscription, by name."""
    return session.scalars(select(SubscriptionRow).order_by(SubscriptionRow.name)).all()


def find(session: Session, name: str) -> SubscriptionRow:
    """Return the subscription called `name`. Raises `UnknownSubscription`."""
    row = session.get(SubscriptionRow, name) if name.isprintable() else None
    if row is None:
        raise UnknownSubscription(name, session.scalars(select(SubscriptionRow.name)))
    return row


def policy_of(registered: Mapping[str, Any]) -> Retry:
    """Return the retry policy that a subscription's row has in `policy`."""
    # The row may be that of another version, with fields that this one does not have.
    known = {each.name for each in fields(Retry)}
    return Retry(**{name: value for name, value in registered.items() if name in known})


def pause(session: Session, name: str, *, who: str, why: str) -> bool:
    """Stop the subscription's sends; its backlog is kept. Raises `UnknownSubscription`.

    Return False, and change nothing, if it is paused already.
    """
    row = find(session, name)
    if row.paused_at is not None:
        return False
    row.paused_at, row.paused_by, row.paused_why = clock.now(), who, why
    audit.record(session, who=who, action="pause", target=name, why=why)
    return True


def resume(session: Session, name: str, *, who: str, why: str = "") -> bool:
    """Send the subscription's backlog, and go on. Raises `UnknownSubscription`.

    Return False, and change nothing, if it is not paused.
    """
    row = find(session, name)
    if row.paused_at is None:
        return False
    row.paused_at = row.paused_by = row.paused_why = None
    audit.record(session, who=who, action="resume", target=name, why=why)
    log.wake(session)
    return True


def unregister(session: Session, name: str, *, who: str, why: str) -> int:
    """Remove a subscription whose code is gone, and discard its open and dead deliveries.

    The dead too: replayed, they would wait for ever for a subscription that is not there. Returns
    the number of deliveries. Raises `UnknownSubscription`.
    """
    session.delete(find(session, name))
    left = and_(Delivery.subscription == name, or_(IS_OPEN, IS_DEAD))
    discarded = ledger.discard(session, left)
    audit.record(session, who=who, action="remove", target=name, why=why)
    return len(discarded)


def backfill(name: str, *, who: str, limit: int = 1000) -> int:
    """Give a subscription every event of its types that was relayed before it was there.

    Gap-free while live events flow: an event not relayed yet gets its delivery from the fan-out,
    every other one here, but those whose delivery was pruned: they were handled or given up.
    Commits after each `limit` events, so that nobody waits long; run twice it adds nothing.
    Returns the number of events. Raises `UnknownSubscription`.
    """
    total, after = 0, 0
    with transaction() as session:
        find(session, name)
        audit.record(session, who=who, action="backfill", target=name)
    while True:
        with transaction() as session:
            one_at_a_time = select(SubscriptionRow).where(SubscriptionRow.name == name)
            row = session.scalars(one_at_a_time.with_for_update()).one()
            missing = _missing(session, row, after, limit)
            if not missing:
                return total
            now = clock.now()
            rows = [
                ledger.new_delivery(row.name, row.queue, event_id, now) for _, event_id in missing
            ]
            ledger.insert_deliveries(session, rows)
            log.wake(session)
        total, after = total + len(missing), missing[-1][0]


def _missing(
    session: Session, row: SubscriptionRow, after: int, limit: int
) -> list[tuple[int, UUID]]:
    has = exists().where(Delivery.subscription == row.name, Delivery.event_id == LogEntry.id)
    found = session.execute(
        select(LogEntry.position, LogEntry.id)
        .where(LogEntry.type.in_(row.event_types), LogEntry.position > after)
        .where(LogEntry.relayed_at.is_not(None), ~has, ~retention.was_pruned(row.name))
        .order_by(LogEntry.position)
        .limit(limit)
    )
    return [(position, event_id) for position, event_id in found]
