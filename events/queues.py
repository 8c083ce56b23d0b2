"""The queues as the ledger knows them: what waits, what is retried, what is dead, and who works."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events import clock, heartbeat
from events.sending import IS_OPEN
from events.tables import Delivery, LogEntry, SubscriptionRow


@dataclass(frozen=True)
class QueueView:
    """One queue. `waiting` deliveries have not failed yet, `retrying` ones have; `oldest` is the age in seconds of the
    oldest open delivery's event; `paused` says that a subscription of the queue is."""

    name: str
    waiting: int = 0
    retrying: int = 0
    dead: int = 0
    oldest: float | None = None
    paused: bool = False
    workers: int = 0


def overview(session: Session) -> list[QueueView]:
    """Every queue, by name; it costs what is open or dead, not what is done."""
    counts = _counts(session)
    oldest = _oldest(session)
    paused: dict[str, bool] = {}
    for queue, paused_at in session.execute(select(SubscriptionRow.queue, SubscriptionRow.paused_at)):
        paused[queue] = paused.get(queue, False) or paused_at is not None
    workers = [queue for row in heartbeat.alive(session) if row.kind == "worker" for queue in row.queues]
    names = sorted({*paused, *workers, *(queue for queue, _ in counts)})
    return [
        QueueView(
            name=name,
            waiting=counts.get((name, "pending"), 0),
            retrying=counts.get((name, "retrying"), 0),
            dead=counts.get((name, "dead"), 0),
            oldest=oldest.get(name),
            paused=paused.get(name, False),
            workers=workers.count(name),
        )
        for name in names
    ]


def _counts(session: Session) -> dict[tuple[str, str], int]:
    found = (
        select(Delivery.queue, Delivery.state, func.count())
        .where(Delivery.state.in_(("pending", "retrying", "dead")))
        .group_by(Delivery.queue, Delivery.state)
    )
    return {(queue, state): count for queue, state, count in session.execute(found)}


def _oldest(session: Session) -> dict[str, float]:
    found = (
        select(Delivery.queue, func.min(LogEntry.publish_at))
        .join(LogEntry, LogEntry.id == Delivery.event_id)
        .where(IS_OPEN)
        .group_by(Delivery.queue)
    )
    now = clock.now()
    return {queue: max(0.0, (now - since).total_seconds()) for queue, since in session.execute(found)}


def unrelayed(session: Session) -> int:
    """How many events have no deliveries yet: what the relay still has to do."""
    return session.scalar(select(func.count(LogEntry.position)).where(LogEntry.relayed_at.is_(None))) or 0
