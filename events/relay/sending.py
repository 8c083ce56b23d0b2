"""Sending: mark what is due as sent, commit, then ring. The network is never touched inside a transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from events import clock, suspects
from events.messages import Message
from events.tables import IS_OPEN, Delivery, LogEntry, SubscriptionRow, delivery_id

TO_SEND = (Delivery.sent_at.is_(None), IS_OPEN)


_EARLIEST = select(func.min(Delivery.due_at)).where(
    Delivery.subscription == SubscriptionRow.name, *TO_SEND
)
_DUE_TIMES = select(
    SubscriptionRow.name, _EARLIEST.correlate(SubscriptionRow).scalar_subquery()
).where(SubscriptionRow.paused_at.is_(None))


def due_times(session: Session) -> dict[str, datetime]:
    """When the next delivery of each subscription is due; paused ones and those with nothing to send are left out."""
    rows: Iterable[Any] = session.execute(_DUE_TIMES)
    return {name: at for name, at in rows if at is not None}


def mark_due_as_sent(session: Session, subscription: str, *, limit: int = 500) -> list[Message]:
    """Mark up to `limit` due deliveries of one subscription as sent and return the messages that ring for them.

    A delivery that was lost twice, or whose worker died, travels alone: its neighbours are not punished for it. Of those whose start
    was followed by a death there is one on its way at a time in each queue: in a process of threads the slow one would die with the
    deadly one, each time, and be counted with it.
    """
    now = clock.now()
    # Two statements: in one, PostgreSQL may run the limited, locking inner one again for each row of the outer.
    due = (
        select(Delivery.event_id, Delivery.queue, Delivery.unfinished_starts)
        .where(Delivery.subscription == subscription, *TO_SEND, Delivery.due_at <= now)
        .order_by(Delivery.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    chosen = suspects.hold_back_suspects(session, subscription, session.execute(due).all())
    mark = (
        update(Delivery)
        .where(Delivery.subscription == subscription, Delivery.event_id.in_(chosen), *TO_SEND)
        .values(sent_at=now, sends=Delivery.sends + 1)
        .returning(
            Delivery.event_id,
            Delivery.queue,
            Delivery.sends,
            Delivery.attempts,
            Delivery.lost_count,
        )
    )
    rows: Sequence[Any] = session.execute(
        mark, execution_options={"synchronize_session": False}
    ).all()
    batch = (
        session.scalar(select(SubscriptionRow.batch).where(SubscriptionRow.name == subscription))
        or 1
    )
    return _messages(session, subscription, sorted(rows, key=lambda row: row.event_id), batch)


def _messages(
    session: Session, subscription: str, rows: Sequence[Row[Any]], batch: int
) -> list[Message]:
    together = [row for row in rows if row.lost_count < suspects.ISOLATE_AFTER_LOSSES]
    alone = [row for row in rows if row.lost_count >= suspects.ISOLATE_AFTER_LOSSES]
    bundles = [together[start : start + batch] for start in range(0, len(together), batch)] + [
        [row] for row in alone
    ]
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
    rows = session.execute(
        select(LogEntry.id, LogEntry.type, LogEntry.subject).where(LogEntry.id.in_(list(ids)))
    )
    return {id: f"{type} {subject}" if subject else type for id, type, subject in rows}


def unmark_sent(session: Session, messages: Iterable[Message]) -> None:
    """The broker did not take these: they are due again. A copy that arrived after all is absorbed by the claim."""
    for message in messages:
        session.execute(
            update(Delivery)
            .where(
                Delivery.subscription == message.subscription,
                Delivery.event_id.in_(message.event_ids),
                IS_OPEN,
            )
            .values(sent_at=None)
        )
