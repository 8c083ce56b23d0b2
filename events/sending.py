"""Sending: mark what is due as sent, commit, then ring. The network is never touched inside a transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, exists, func, select, update
from sqlalchemy.orm import Session

from events import clock
from events.messages import Message
from events.tables import IS_OPEN, Delivery, LogEntry, SubscriptionRow, delivery_id

ALONE = 2  # losses from which a delivery is a suspect: it travels alone and its starts are counted
HELD = 2.0  # seconds until a suspect is looked at again that may not go beside another one
TO_SEND = (Delivery.sent_at.is_(None), IS_OPEN)


_EARLIEST = select(func.min(Delivery.due_at)).where(Delivery.subscription == SubscriptionRow.name, *TO_SEND)
_DUE_TIMES = select(SubscriptionRow.name, _EARLIEST.correlate(SubscriptionRow).scalar_subquery()).where(SubscriptionRow.paused_at.is_(None))


def due_times(session: Session) -> dict[str, datetime]:
    """When the next delivery of each subscription is due; paused ones and those with nothing to send are left out."""
    rows: Iterable[Any] = session.execute(_DUE_TIMES)
    return {name: at for name, at in rows if at is not None}


def take_due(session: Session, subscription: str, *, limit: int = 500) -> list[Message]:
    """Mark up to `limit` due deliveries of one subscription as sent and return the messages that ring for them.

    A delivery that was lost twice, or whose worker died, travels alone: its neighbours are not punished for it. Of those whose start
    was followed by a death there is one on its way at a time in each queue: in a process of threads the slow one would die with the
    deadly one, each time, and be counted with it.
    """
    now = clock.now()
    # Two statements: in one, PostgreSQL may run the limited, locking inner one again for each row of the outer.
    due = (
        select(Delivery.event_id, Delivery.queue, Delivery.starts)
        .where(Delivery.subscription == subscription, *TO_SEND, Delivery.due_at <= now)
        .order_by(Delivery.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    chosen = _may_go(session, subscription, session.execute(due).all())
    mark = (
        update(Delivery)
        .where(Delivery.subscription == subscription, Delivery.event_id.in_(chosen), *TO_SEND)
        .values(sent_at=now, sends=Delivery.sends + 1)
        .returning(Delivery.event_id, Delivery.queue, Delivery.sends, Delivery.attempts, Delivery.losses)
    )
    rows: Sequence[Any] = session.execute(mark, execution_options={"synchronize_session": False}).all()
    batch = session.scalar(select(SubscriptionRow.batch).where(SubscriptionRow.name == subscription)) or 1
    return _messages(session, subscription, sorted(rows, key=lambda row: row.event_id), batch)


def _may_go(session: Session, subscription: str, due: Sequence[Any]) -> list[UUID]:
    """All of them but started suspects beyond the first; the others are looked at again in a moment."""
    suspects = [row for row in due if row.starts]
    if not suspects:
        return [row.event_id for row in due]
    out = exists().where(Delivery.queue == suspects[0].queue, IS_OPEN, Delivery.sent_at.is_not(None), Delivery.starts > 0)
    held = {row.event_id for row in suspects[0 if session.scalar(select(out)) else 1 :]}
    later = {"due_at": clock.now() + timedelta(seconds=HELD)}
    session.execute(update(Delivery).where(Delivery.subscription == subscription, Delivery.event_id.in_(held)).values(later))
    return [row.event_id for row in due if row.event_id not in held]


def _messages(session: Session, subscription: str, rows: Sequence[Row[Any]], batch: int) -> list[Message]:
    together = [row for row in rows if row.losses < ALONE]
    alone = [row for row in rows if row.losses >= ALONE]
    bundles = [together[start : start + batch] for start in range(0, len(together), batch)] + [[row] for row in alone]
    labels = _labels(session, [bundle[0].event_id for bundle in bundles])
    return [_message(subscription, bundle, labels[bundle[0].event_id]) for bundle in bundles]


def _message(subscription: str, bundle: Sequence[Row[Any]], label: str) -> Message:
    first, more = bundle[0], len(bundle) - 1
    return Message(
        id=f"{delivery_id(first.event_id, subscription)}:{first.sends}",
        subscription=subscription,
        queue=first.queue,
        event_ids=tuple(row.event_id for row in bundle),
        retries=first.attempts,
        label=f"{label}, {more} more" if more else label,
    )


def _labels(session: Session, ids: Iterable[UUID]) -> dict[UUID, str]:
    rows = session.execute(select(LogEntry.id, LogEntry.type, LogEntry.subject).where(LogEntry.id.in_(list(ids))))
    return {id: f"{type} {subject}" if subject else type for id, type, subject in rows}


def take_back(session: Session, messages: Iterable[Message]) -> None:
    """The broker did not take these: they are due again. A copy that arrived after all is absorbed by the claim."""
    for message in messages:
        session.execute(
            update(Delivery)
            .where(Delivery.subscription == message.subscription, Delivery.event_id.in_(message.event_ids), IS_OPEN)
            .values(sent_at=None)
        )
