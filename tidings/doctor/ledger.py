"""What the ledger tells: who lives, what is late, what waits for a person."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events import clock, heartbeat
from events.admin import dead_letters, invalid_messages
from events.ledger import IS_OPEN
from events.subscriptions import registered
from events.tables import Delivery, Heartbeat, LogEntry, SubscriptionRow
from tidings.doctor.database import MOST_SKEW
from tidings.doctor.findings import Finding, notice, ok, one_of, problem

LATE = timedelta(minutes=1)  # what is due is sent within a second where all is well
SLOW = timedelta(minutes=15)  # a doorbell that rings so long has nobody who hears it
_WORKER = "start one: celery -A tasks worker -Q {queue} -n {queue}@%h"
_RELAY = "start one: tidings relay"


def check(session: Session) -> Iterator[Finding]:
    """Everything that rows tell."""
    for look in CHECKS:
        yield from look(session)


def relays(session: Session) -> Iterator[Finding]:
    """Is there a relay, and does it reach the broker?"""
    alive = heartbeat.live_relays(session)
    if not alive:
        yield problem("relay", "none is alive: orders are accepted and nothing goes on", _RELAY)
    for each in alive:
        if each.trouble:
            yield problem(
                "relay",
                f"{each.name} is in trouble: {each.trouble}",
                "mend the broker; what waits is then sent",
            )
        else:
            yield ok("relay", f"{each.name} is alive")


def workers(session: Session) -> Iterator[Finding]:
    """Has every queue with a subscription a worker?"""
    wanted = set(session.scalars(select(SubscriptionRow.queue)))
    served = _served(session)
    wrong = (
        problem("workers", f"nobody works on queue {queue}", _WORKER.format(queue=queue))
        for queue in sorted(wanted - served)
    )
    yield from one_of("workers", wrong, f"all {len(wanted)} queues are worked on")


def _served(session: Session) -> set[str]:
    return {
        queue for each in heartbeat.alive(session) if each.kind == "worker" for queue in each.queues
    }


def subscriptions(session: Session) -> Iterator[Finding]:
    """Does a worker's code serve every subscription, and is every one of the code registered?"""
    rows = session.scalars(select(SubscriptionRow).order_by(SubscriptionRow.name)).all()
    yield from one_of(
        "subscriptions", _unserved(session, rows), f"{len(rows)} are registered and served"
    )
    for row in rows:
        if row.paused_at is not None:
            since = f"{row.paused_at:%Y-%m-%d %H:%M} UTC"
            told = f"{row.name} is paused by {row.paused_by} since {since}: {row.paused_why or 'no reason given'}"
            yield notice("subscriptions", told, f"when that is over: tidings resume {row.name}")


def _unserved(session: Session, rows: Any) -> Iterator[Finding]:
    served, long_ago = _served(session), clock.now() - LATE
    for row in rows:
        if row.queue in served and row.last_seen < long_ago:
            fix = f"if its code is gone: tidings subscriptions remove {row.name}; else deploy it to the workers of {row.queue}"
            yield problem(
                "subscriptions",
                f"the workers of {row.queue} do not know {row.name}; what it should hear waits",
                fix,
            )
    ours = {
        name for name, each in registered().items() if each.handler.__module__.startswith("tasks.")
    }
    if unheard := sorted(ours - {row.name for row in rows}):
        yield problem(
            "subscriptions",
            f"not registered, so they hear nothing: {', '.join(unheard)}",
            "run `tidings migrate`",
        )


def clocks(session: Session) -> Iterator[Finding]:
    """Is a process's clock ahead of ours? One that is far behind looks dead instead."""
    now = clock.now()
    ahead = session.scalars(
        select(Heartbeat)
        .where(Heartbeat.last_seen > now + timedelta(seconds=MOST_SKEW))
        .order_by(Heartbeat.name)
    )
    fix = "keep every machine's clock by NTP"
    wrong = (
        problem(
            "clock",
            f"{each.name}'s clock is {(each.last_seen - now).total_seconds():.0f} s ahead",
            fix,
        )
        for each in ahead
    )
    yield from one_of("clock", wrong, "no process lives in the future")


def lateness(session: Session) -> Iterator[Finding]:
    """What should have gone on long ago."""
    yield from one_of("flow", _late(session), "nothing is overdue")


def _late(session: Session) -> Iterator[Finding]:
    now = clock.now()
    count, oldest = _first(
        session,
        LogEntry.publish_at,
        LogEntry.relayed_at.is_(None),
        LogEntry.publish_at < now - LATE,
    )
    if oldest:
        yield problem(
            "flow",
            f"{count} events wait for a relay, the oldest for {_span(now - oldest)}",
            "see why the relay does not work",
        )
    paused = select(SubscriptionRow.name).where(SubscriptionRow.paused_at.is_not(None))
    unsent = (IS_OPEN, Delivery.sent_at.is_(None), Delivery.subscription.not_in(paused))
    count, oldest = _first(session, Delivery.due_at, *unsent, Delivery.due_at < now - LATE)
    if oldest:
        told = f"{count} deliveries are due and not sent, the oldest for {_span(now - oldest)}"
        yield problem("flow", told, "see why the relay does not send: its log, and the broker")
    count, oldest = _first(session, Delivery.sent_at, IS_OPEN, Delivery.sent_at < now - SLOW)
    if oldest:
        told = f"{count} deliveries were sent and not handled, the oldest {_span(now - oldest)} ago"
        yield problem("flow", told, "start more workers where `tidings queues` shows what waits")


def _first(session: Session, moment: Any, *where: Any) -> tuple[int, datetime | None]:
    count, oldest = session.execute(select(func.count(), func.min(moment)).where(*where)).one()
    return count, oldest


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    return (
        f"{seconds // 3600} h {seconds % 3600 // 60} min"
        if seconds >= 3600
        else f"{seconds // 60} min {seconds % 60} s"
    )


def waiting(session: Session) -> Iterator[Finding]:
    """What waits for a person."""
    dead, astray = dead_letters.count(session), invalid_messages.count(session)
    fix = "`tidings dead-letters list --group` says why; mend that, then replay or discard them"
    yield (
        problem("dead letters", f"{dead} wait for a person", fix)
        if dead
        else ok("dead letters", "none")
    )
    fix = "look at them on /ops/dead-letters, find out who sends them, then discard them"
    yield (
        problem(
            "invalid_messages", f"{astray} messages that were no doorbells wait for a person", fix
        )
        if astray
        else ok("invalid_messages", "none")
    )


CHECKS: tuple[Callable[[Session], Iterator[Finding]], ...] = (
    relays,
    workers,
    subscriptions,
    clocks,
    lateness,
    waiting,
)
