"""What an operator does with subscriptions: register, pause, resume, backfill, remove."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import exists, insert, or_, select, text, update
from sqlalchemy.orm import Session

from events import clock, log
from events.admin import audit, retention
from events.database import transaction
from events.errors import UnknownSubscription
from events.relay.fanout import delivery
from events.subscriptions import Subscription
from events.tables import IS_DEAD, IS_OPEN, Delivery, LogEntry, SubscriptionRow


def register(session: Session, subscriptions: Iterable[Subscription]) -> None:
    """Tell the relay of these subscriptions; a changed one is changed, and all are marked as seen now."""
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
    """Those in flight end first: an event is relayed either with what is registered now or before the backfill."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE subscriptions IN EXCLUSIVE MODE"))


def _values(subscription: Subscription) -> dict[str, Any]:
    retry = subscription.retry
    return {
        "queue": subscription.queue,
        "event_types": subscription.event_types,
        "policy": {"attempts": retry.attempts, "first": retry.first, "cap": retry.cap},
        "batch": subscription.batch,
    }


def seen(subscriptions: Iterable[Subscription]) -> None:
    """Register in a transaction of its own what nobody has registered yet, and mark the rest as served now.

    Of a row that is there only the list of types grows, for who says so may be the older worker of two: the rest is changed by
    `register`, at `tidings migrate`.
    """
    wanted = {each.name: each for each in subscriptions}
    with transaction() as session:
        rows = {
            row.name: row
            for row in session.scalars(
                select(SubscriptionRow).where(SubscriptionRow.name.in_(wanted))
            )
        }
        if missing := [each for name, each in wanted.items() if name not in rows]:
            register(session, missing)
        if wider := [
            row for row in rows.values() if set(wanted[row.name].event_types) - set(row.event_types)
        ]:
            _wait_for_fan_outs(session)
            for row in wider:
                session.refresh(row)
                row.event_types = sorted({*row.event_types, *wanted[row.name].event_types})
            session.flush()
        rows_in_order = (
            select(SubscriptionRow.name)
            .where(SubscriptionRow.name.in_(wanted))
            .order_by(SubscriptionRow.name)
        )
        session.execute(
            rows_in_order.with_for_update()
        )  # in any other order two of these, or one and a fan-out, could block each other
        session.execute(
            update(SubscriptionRow)
            .where(SubscriptionRow.name.in_(wanted))
            .values(last_seen=clock.now())
        )


def listed(session: Session) -> Sequence[SubscriptionRow]:
    """Every subscription, by name."""
    return session.scalars(select(SubscriptionRow).order_by(SubscriptionRow.name)).all()


def find(session: Session, name: str) -> SubscriptionRow:
    """The subscription called `name`. Raises `UnknownSubscription`."""
    row = session.get(SubscriptionRow, name)
    if row is None:
        raise UnknownSubscription(name, session.scalars(select(SubscriptionRow.name)))
    return row


def pause(session: Session, name: str, *, who: str, why: str) -> None:
    """Stop the subscription's sends; its backlog is kept."""
    row = find(session, name)
    row.paused_at, row.paused_by, row.paused_why = clock.now(), who, why
    audit.record(session, who=who, action="pause", target=name, why=why)


def resume(session: Session, name: str, *, who: str, why: str = "") -> None:
    """Send the subscription's backlog, and go on."""
    row = find(session, name)
    row.paused_at = row.paused_by = row.paused_why = None
    audit.record(session, who=who, action="resume", target=name, why=why)
    log.wake(session)


def remove(session: Session, name: str, *, who: str, why: str) -> int:
    """Forget a subscription whose code is gone; its open and dead deliveries are discarded. Returns how many those were.

    The dead too: replayed, they would wait for ever for a subscription that is not there.
    """
    session.delete(find(session, name))
    left = (Delivery.subscription == name, or_(IS_OPEN, IS_DEAD))
    discarded = session.execute(
        update(Delivery)
        .where(*left)
        .values(state="discarded", done_at=clock.now())
        .returning(Delivery.event_id)
    )
    audit.record(session, who=who, action="remove", target=name, why=why)
    return len(discarded.all())


def backfill(name: str, *, who: str, limit: int = 1000) -> int:
    """Give a subscription every event of its types that was relayed before it was there; returns how many.

    Gap-free while live events flow: an event not relayed yet gets its delivery from the fan-out, every other one here, but
    those whose delivery was there and was pruned: they were handled or given up.
    Commits after each `limit` events, so that nobody waits long; run twice it adds nothing.
    """
    total, after = 0, 0
    with transaction() as session:
        find(session, name)
        audit.record(session, who=who, action="backfill", target=name)
    while True:
        with transaction() as session:
            row = session.scalars(
                select(SubscriptionRow).where(SubscriptionRow.name == name).with_for_update()
            ).one()  # one at a time
            missing = _missing(session, row, after, limit)
            if not missing:
                return total
            session.execute(insert(Delivery), [delivery(row, id, clock.now()) for _, id in missing])
            log.wake(session)
        total, after = total + len(missing), missing[-1][0]


def _missing(
    session: Session, row: SubscriptionRow, after: int, limit: int
) -> list[tuple[int, UUID]]:
    has = exists().where(Delivery.subscription == row.name, Delivery.event_id == LogEntry.id)
    found = session.execute(
        select(LogEntry.position, LogEntry.id)
        .where(
            LogEntry.type.in_(row.event_types),
            LogEntry.position > after,
            LogEntry.relayed_at.is_not(None),
            ~has,
        )
        .where(~retention.forgotten(row.name))
        .order_by(LogEntry.position)
        .limit(limit)
    )
    return [(position, id) for position, id in found]
