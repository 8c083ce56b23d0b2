"""Sending: mark due deliveries as sent and commit, so that no network call is in a transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from events import clock, ledger
from events.ledger import IS_TO_SEND
from events.messages import Message
from events.suspects import hold_back_suspects, is_suspect
from events.tables import Delivery, LogEntry, SubscriptionRow, delivery_id

_EARLIEST = select(func.min(Delivery.due_at)).where(
    Delivery.subscription == SubscriptionRow.name, IS_TO_SEND
)
_DUE_TIMES = select(
    SubscriptionRow.name, _EARLIEST.correlate(SubscriptionRow).scalar_subquery()
).where(SubscriptionRow.paused_at.is_(None))


def due_times(session: Session) -> dict[str, datetime]:
    """Return when the next delivery of each subscription is due.

    Paused subscriptions and those with nothing to send are left out.
    """
    rows: Iterable[Any] = session.execute(_DUE_TIMES)
    return {name: due_at for name, due_at in rows if due_at is not None}


def mark_due_as_sent(session: Session, subscription: str, *, limit: int = 500) -> list[Message]:
    """Mark up to `limit` due deliveries of one subscription as sent; return their messages.

    A suspect is alone in its message: its neighbours are not punished for it.
    """
    # Two statements: in one, PostgreSQL may run the limited, locking inner one again for each row.
    due = (
        select(Delivery.event_id, Delivery.queue, Delivery.unfinished_starts)
        .where(Delivery.subscription == subscription, IS_TO_SEND, Delivery.due_at <= clock.now())
        .order_by(Delivery.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    chosen = hold_back_suspects(session, subscription, session.execute(due).all())
    rows = ledger.mark_sent(session, subscription, chosen)
    found = select(SubscriptionRow.batch).where(SubscriptionRow.name == subscription)
    batch = session.scalar(found) or 1
    return _messages(session, subscription, sorted(rows, key=lambda row: row.event_id), batch)


def _messages(
    session: Session, subscription: str, rows: Sequence[Row[Any]], batch: int
) -> list[Message]:
    together = [row for row in rows if not is_suspect(row.lost_count)]
    groups = [together[start : start + batch] for start in range(0, len(together), batch)]
    groups += [[row] for row in rows if is_suspect(row.lost_count)]
    labels = _labels(session, [group[0].event_id for group in groups])
    return [_message(subscription, group, labels[group[0].event_id]) for group in groups]


def _message(subscription: str, group: Sequence[Row[Any]], label: str) -> Message:
    first, more = group[0], len(group) - 1
    return Message(
        id=f"{delivery_id(first.event_id, subscription)}:{first.sends}",
        subscription=subscription,
        queue=first.queue,
        event_ids=tuple(row.event_id for row in group),
        retries=first.attempts,
        label=f"{label}, {more} more" if more else label,
    )


def _labels(session: Session, ids: Iterable[UUID]) -> dict[UUID, str]:
    found = select(LogEntry.id, LogEntry.type, LogEntry.subject).where(LogEntry.id.in_(list(ids)))
    return {
        event_id: f"{event_type} {subject}" if subject else event_type
        for event_id, event_type, subject in session.execute(found)
    }


def unmark_sent(session: Session, messages: Iterable[Message]) -> None:
    """Make the deliveries due again whose messages the broker refused.

    A copy that arrived after all is absorbed by the claim.
    """
    for message in messages:
        ledger.unmark_sent(session, message.subscription, message.event_ids)
