"""The queues as the ledger knows them: backlog, dead letters, and live workers."""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import String, cast, func, select
from sqlalchemy.orm import Session

from events import clock, heartbeat
from events.ledger import IS_DEAD, IS_IN_FLIGHT, IS_TO_SEND, State
from events.tables import Delivery, LogEntry, SubscriptionRow


@dataclass(frozen=True)
class QueueView:
    """One queue.

    `waiting` deliveries have not failed yet, `retrying` ones have; `oldest` is the age in seconds
    of the oldest open delivery's event; `paused` says that a subscription of the queue is;
    `trouble` is what the broker refuses it for, and `fix` what to do.
    """

    name: str
    waiting: int = 0
    retrying: int = 0
    dead: int = 0
    oldest: float | None = None
    paused: bool = False
    workers: int = 0
    trouble: str | None = None
    fix: str | None = None


def overview(session: Session) -> list[QueueView]:
    """Return every queue, by name; done deliveries cost nothing here."""
    counts = _counts(session)
    oldest = _oldest(session)
    paused: dict[str, bool] = {}
    for queue, paused_at in session.execute(
        select(SubscriptionRow.queue, SubscriptionRow.paused_at)
    ):
        paused[queue] = paused.get(queue, False) or paused_at is not None
    workers = _consumed(session)
    troubles = heartbeat.queue_troubles(session)
    names = sorted({*paused, *workers, *troubles, *(queue for queue, _ in counts)})
    return [
        QueueView(
            name=name,
            waiting=counts[name, State.PENDING],
            retrying=counts[name, State.RETRYING],
            dead=counts[name, State.DEAD],
            oldest=oldest.get(name),
            paused=paused.get(name, False),
            workers=workers.count(name),
            trouble=troubles[name]["reason"] if name in troubles else None,
            fix=troubles[name]["fix"] if name in troubles else None,
        )
        for name in names
    ]


def _counts(session: Session) -> Counter[tuple[str, str]]:
    """Count by queue and state.

    Each part has an index of its own; in one condition, every delivery there ever was would be
    read. Dead letters are counted in the order of their index.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for part in (IS_TO_SEND, IS_IN_FLIGHT):
        found = select(Delivery.queue, Delivery.state, func.count()).where(part)
        for queue, state, count in session.execute(found.group_by(Delivery.queue, Delivery.state)):
            counts[queue, state] += count
    dead = select(func.max(Delivery.queue), func.count()).where(IS_DEAD)
    for queue, count in session.execute(dead.group_by(Delivery.subscription)):
        counts[queue, State.DEAD] += count
    return counts


def _oldest(session: Session) -> dict[str, float]:
    """Return the age of the oldest open event of each queue, in seconds.

    Ids of events sort by time. To join the events would read a million of them, where a planner
    begins with their table.
    """
    first: dict[str, UUID] = {}
    for part in (IS_TO_SEND, IS_IN_FLIGHT):
        ids = select(Delivery.queue, func.min(cast(Delivery.event_id, String))).where(part)
        for queue, oldest in session.execute(ids.group_by(Delivery.queue)):
            first[queue] = min(UUID(oldest), first.get(queue, UUID(oldest)))
    times = select(LogEntry.id, LogEntry.publish_at).where(LogEntry.id.in_(first.values()))
    since = {row.id: row.publish_at for row in session.execute(times)}
    now = clock.now()
    return {queue: (now - since[event_id]).total_seconds() for queue, event_id in first.items()}


@dataclass(frozen=True)
class Backlog:
    """The deliveries of one subscription that are not done: waiting, retrying and dead ones."""

    waiting: int = 0
    retrying: int = 0
    dead: int = 0


def by_subscription(session: Session) -> dict[str, Backlog]:
    """Return the backlog of each subscription that has one, counted on the indexes."""
    counts: Counter[tuple[str, str]] = Counter()
    for part in (IS_TO_SEND, IS_IN_FLIGHT, IS_DEAD):
        found = select(Delivery.subscription, Delivery.state, func.count()).where(part)
        grouped = found.group_by(Delivery.subscription, Delivery.state)
        for name, state, count in session.execute(grouped):
            counts[name, state] += count
    states = (State.PENDING, State.RETRYING, State.DEAD)
    return {name: Backlog(*(counts[name, state] for state in states)) for name, _ in counts}


def unrelayed(session: Session) -> int:
    """Return the number of events that the relay has not fanned out yet."""
    return (
        session.scalar(select(func.count(LogEntry.position)).where(LogEntry.relayed_at.is_(None)))
        or 0
    )


def without_worker(session: Session) -> list[str]:
    """Return the queues of subscriptions that no live worker consumes, by name."""
    return sorted(
        set(session.scalars(select(SubscriptionRow.queue))).difference(_consumed(session))
    )


def _consumed(session: Session) -> list[str]:
    """Return each queue as often as live workers consume it."""
    alive = heartbeat.alive(session)
    return [queue for row in alive if row.kind == "worker" for queue in row.queues]
