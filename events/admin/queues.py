"""The queues as the ledger knows them: backlog, dead letters, and live workers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import String, and_, cast, func, select
from sqlalchemy.orm import Session

from events import clock, heartbeat
from events.breakers import Breaker
from events.breakers import State as BreakerState
from events.ledger import IS_DEAD, IS_IN_FLIGHT, IS_TO_SEND, State
from events.tables import Delivery, LogEntry, SubscriptionRow


@dataclass(frozen=True)
class Backlog:
    """The deliveries of a subscription or queue that are not done.

    `waiting` ones have not failed yet, `retrying` ones have; those `in_flight` are in a task
    message or with a worker, and in neither number. `oldest` is the age in seconds of the oldest
    open delivery's event.
    """

    waiting: int = 0
    in_flight: int = 0
    retrying: int = 0
    dead: int = 0
    oldest: float | None = None

    @property
    def open(self) -> int:
        """The number of deliveries that are to be handled."""
        return self.waiting + self.in_flight + self.retrying


@dataclass(frozen=True)
class QueueView(Backlog):
    """One queue.

    `subscribed` says that a subscription has it, and `paused` that one of them is; `trouble` is
    what the broker refuses it for, and `fix` what to do; `breakers` are the dependencies that
    subscriptions of it wait for.
    """

    name: str = ""
    subscribed: bool = False
    paused: bool = False
    workers: int = 0
    trouble: str | None = None
    fix: str | None = None
    breakers: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """The reason why the queue does not work: a refusal, no worker, a breaker; or ok."""
        if self.trouble:
            return "refused"
        if not self.workers:
            return "no worker"
        return "breaker open" if self.breakers else "ok"


Key = tuple[str, str]  # queue, subscription


def overview(session: Session, *, with_dead: bool = True) -> list[QueueView]:
    """Return every queue, by name; done deliveries cost nothing here.

    Without the dead letters, a queue that has nothing else and no subscription is left out.
    """
    return of_queues(session, backlogs(session, with_dead=with_dead))


def of_queues(session: Session, found: Mapping[Key, Backlog]) -> list[QueueView]:
    """Return every queue, by name, with the sums of the backlogs of its subscriptions."""
    parts: defaultdict[str, list[Backlog]] = defaultdict(list)
    for (queue, _), backlog in found.items():
        parts[queue].append(backlog)
    paused, breakers = _paused_and_waiting(session)
    workers, troubles = _consumed(session), heartbeat.queue_troubles(session)
    return [
        QueueView(
            **_sums(parts[name]),
            name=name,
            subscribed=name in paused,
            paused=paused.get(name, False),
            workers=workers.count(name),
            trouble=troubles[name]["reason"] if name in troubles else None,
            fix=troubles[name]["fix"] if name in troubles else None,
            breakers=tuple(sorted(breakers[name])),
        )
        for name in sorted({*paused, *parts, *workers, *troubles})
    ]


def _paused_and_waiting(session: Session) -> tuple[dict[str, bool], defaultdict[str, set[str]]]:
    """Return whether a subscription of each queue is paused, and what its deliveries wait for."""
    rows = select(SubscriptionRow.queue, SubscriptionRow.paused_at, Breaker.dependency)
    waits = and_(
        Breaker.dependency == SubscriptionRow.depends_on, Breaker.state != BreakerState.CLOSED
    )
    paused: dict[str, bool] = {}
    breakers: defaultdict[str, set[str]] = defaultdict(set)
    for queue, paused_at, dependency in session.execute(rows.outerjoin(Breaker, waits)):
        paused[queue] = paused.get(queue, False) or paused_at is not None
        if dependency is not None:
            breakers[queue].add(dependency)
    return paused, breakers


def backlogs(session: Session, *, with_dead: bool = True) -> dict[Key, Backlog]:
    """Return the backlog of each subscription that has one, by queue and name.

    Each part has an index of its own; in one condition, every delivery there ever was would be
    read. Dead letters are counted in the order of their index: 10 ms for 100,000.
    """
    counts: defaultdict[Key, Counter[str]] = defaultdict(Counter)
    columns = (Delivery.queue, Delivery.subscription, Delivery.state)
    for part, names in ((IS_TO_SEND, _WAITING), (IS_IN_FLIGHT, _IN_FLIGHT)):
        found = select(*columns, func.count()).where(part).group_by(*columns)
        for queue, name, state, count in session.execute(found):
            counts[queue, name][names[State(state)]] += count
    if with_dead:
        dead = select(func.max(Delivery.queue), Delivery.subscription, func.count()).where(IS_DEAD)
        for queue, name, count in session.execute(dead.group_by(Delivery.subscription)):
            counts[queue, name]["dead"] += count
    ages = _ages(session)
    return {key: Backlog(**found, oldest=ages.get(key)) for key, found in counts.items()}


def by_subscription(session: Session) -> dict[str, Backlog]:
    """Return the backlog of each subscription that has one, counted on the indexes."""
    parts: defaultdict[str, list[Backlog]] = defaultdict(list)
    for (_, name), backlog in backlogs(session).items():
        parts[name].append(backlog)
    return {name: Backlog(**_sums(found)) for name, found in parts.items()}


_WAITING = {State.PENDING: "waiting", State.RETRYING: "retrying"}
_IN_FLIGHT = dict.fromkeys(_WAITING, "in_flight")


def _sums(parts: Iterable[Backlog]) -> dict[str, Any]:
    found = list(parts)
    sums: dict[str, Any] = {
        name: sum(getattr(each, name) for each in found)
        for name in ("waiting", "in_flight", "retrying", "dead")
    }
    ages = [each.oldest for each in found if each.oldest is not None]
    return sums | {"oldest": max(ages, default=None)}


def _ages(session: Session) -> dict[Key, float]:
    """Return the age in seconds of the oldest open event of each subscription.

    Ids of events sort by time. To join the events would read a million of them, where a planner
    begins with their table.
    """
    first: dict[Key, UUID] = {}
    columns = (Delivery.queue, Delivery.subscription)
    for part in (IS_TO_SEND, IS_IN_FLIGHT):
        ids = select(*columns, func.min(cast(Delivery.event_id, String))).where(part)
        for queue, name, oldest in session.execute(ids.group_by(*columns)):
            key = queue, name
            first[key] = min(UUID(oldest), first.get(key, UUID(oldest)))
    times = select(LogEntry.id, LogEntry.publish_at).where(LogEntry.id.in_(set(first.values())))
    since = {row.id: row.publish_at for row in session.execute(times)}
    now = clock.now()
    return {key: (now - since[event_id]).total_seconds() for key, event_id in first.items()}


def unrelayed(session: Session) -> int:
    """Return the number of events that the relay has not fanned out yet."""
    return (
        session.scalar(select(func.count(LogEntry.position)).where(LogEntry.relayed_at.is_(None)))
        or 0
    )


def relay_lag(session: Session) -> float:
    """Return the age in seconds of the oldest event that the relay has not fanned out yet."""
    oldest = oldest_unrelayed(session)
    return 0.0 if oldest is None else max(0.0, (clock.now() - oldest).total_seconds())


def oldest_unrelayed(session: Session) -> datetime | None:
    """Return the time of the oldest event that the relay has not fanned out yet."""
    unrelayed = select(LogEntry.publish_at).where(LogEntry.relayed_at.is_(None))
    return session.scalar(unrelayed.order_by(LogEntry.position).limit(1))


def without_worker(session: Session) -> list[str]:
    """Return the queues of subscriptions that no live worker consumes, by name."""
    return sorted(
        set(session.scalars(select(SubscriptionRow.queue))).difference(_consumed(session))
    )


def _consumed(session: Session) -> list[str]:
    """Return each queue as often as live workers consume it."""
    alive = heartbeat.alive(session)
    return [queue for row in alive if row.kind == "worker" for queue in row.queues]
