"""The flow of deliveries: events without deliveries, due and sent deliveries that are overdue."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events import clock
from events.ledger import IS_OPEN
from events.tables import Delivery, LogEntry, SubscriptionRow
from tasks.durations import duration_text
from tidings.doctor.findings import Finding, notice, or_ok, problem

UNSENT_AFTER = timedelta(minutes=1)  # normally a due delivery is sent within a second
POSTPONED_AFTER = timedelta(minutes=15)  # longer than the usual greylisting
UNHANDLED_AFTER = timedelta(minutes=15)  # the workers cannot keep up


def check(session: Session) -> Iterator[Finding]:
    """Find what is overdue."""
    yield from or_ok("deliveries", _overdue(session), "nothing is overdue")
    yield from _postponed(session)


def _overdue(session: Session) -> Iterator[Finding]:
    now = clock.now()
    limit = now - UNSENT_AFTER
    unrelayed = (LogEntry.relayed_at.is_(None), LogEntry.publish_at < limit)
    count, oldest = _oldest(session, LogEntry.publish_at, *unrelayed)
    if oldest:
        yield problem(
            "deliveries",
            f"{count} events wait for a relay, the oldest for {_since(oldest, now)}",
            "see the log of the relay",
        )
    paused = select(SubscriptionRow.name).where(SubscriptionRow.paused_at.is_not(None))
    unsent = (IS_OPEN, Delivery.sent_at.is_(None), Delivery.subscription.not_in(paused))
    count, oldest = _oldest(session, Delivery.due_at, *unsent, Delivery.due_at < limit)
    if oldest:
        yield problem(
            "deliveries",
            f"{count} deliveries are due but not sent, the oldest for {_since(oldest, now)}",
            "see the log of the relay, and the state of the broker",
        )
    unhandled = (IS_OPEN, Delivery.sent_at < now - UNHANDLED_AFTER)
    count, oldest = _oldest(session, Delivery.sent_at, *unhandled)
    if oldest:
        yield problem(
            "deliveries",
            f"{count} deliveries are sent but not handled, the oldest for {_since(oldest, now)}",
            "start more workers for the queues whose backlog `tidings queues` shows",
        )


def _postponed(session: Session) -> Iterator[Finding]:
    """Yield a notice for each queue whose gateway has said "not now" for a while."""
    now = clock.now()
    postponed = (
        select(
            Delivery.queue, func.count(), func.min(Delivery.failing_since), func.max(Delivery.error)
        )
        .where(IS_OPEN, Delivery.not_now > 0, Delivery.failing_since < now - POSTPONED_AFTER)
        .group_by(Delivery.queue)
        .order_by(Delivery.queue)
    )
    for queue, count, since, error in session.execute(postponed):
        assert since is not None
        yield notice(
            "deliveries",
            f'{count} deliveries of queue {queue} are told "not now", the oldest for '
            f"{_since(since, now)}: {error}",
            "nothing is lost: they are retried; `tidings catalog` tells for how long",
        )


def _oldest(session: Session, moment: Any, *where: Any) -> tuple[int, datetime | None]:
    count, oldest = session.execute(select(func.count(), func.min(moment)).where(*where)).one()
    return count, oldest


def _since(moment: datetime, now: datetime) -> str:
    return duration_text((now - moment).total_seconds())
