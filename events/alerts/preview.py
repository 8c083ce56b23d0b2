"""The preview: what the rules, as they are set now, would have raised in the last 24 hours.

It is read from the log and the ledger, which do not keep everything: `Preview.notes` says what is
missing. Bounded, so that it costs the same in a large ledger.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from events.alerts.evaluation import MESSAGE_INTERVAL, is_on
from events.alerts.rules import Rule
from events.ledger import IS_DEAD
from events.settings import Settings
from events.system_events import BreakerClosed, BreakerOpened, DeliveryDead
from events.tables import Delivery, LogEntry, SubscriptionRow

PERIOD = timedelta(hours=24)
MAX_ROWS = 10_000  # of each kind that are read, the latest


@dataclass(frozen=True)
class WouldBeRaised:
    """An alert that would have been raised, its end if it had one, and its number of messages."""

    rule: str
    subject: str
    cause: str
    title: str
    at: datetime
    until: datetime | None
    messages: int


@dataclass(frozen=True)
class Preview:
    """The alerts of a period, the first one first, and what could not be reconstructed."""

    since: datetime
    until: datetime
    alerts: list[WouldBeRaised]
    notes: list[str]


def preview(session: Session, limits: Settings, now: datetime) -> Preview:
    """Return what would have been raised since `PERIOD` before now."""
    since = now - PERIOD
    found: list[WouldBeRaised] = []
    notes: list[str] = []
    if limits.alert_new_cause == "on":
        found += _causes(session, since, notes)
    if limits.alert_dead is not None:
        found += _dead(session, limits.alert_dead, since, notes)
    if limits.alert_oldest is not None:
        found += _late(session, limits.alert_oldest, since, now, notes)
    if limits.alert_relay_behind is not None:
        found += _behind(session, limits.alert_relay_behind, since, now, notes)
    if limits.alert_breaker_open is not None:
        found += _breakers(session, limits.alert_breaker_open, since, now)
    if is_on(Rule.NO_WORKER, limits):
        notes.append("no worker: no record is kept of the workers of the past")
    return Preview(since, now, sorted(found, key=lambda each: (each.at, each.rule)), notes)


def _causes(session: Session, since: datetime, notes: list[str]) -> Iterator[WouldBeRaised]:
    """Yield each cause of the deaths in the log, with a message an hour while more die of it."""
    times: defaultdict[tuple[str, str], list[datetime]] = defaultdict(list)
    for row in _events(session, since, notes, "new cause", DeliveryDead.type):
        times[row.data["subscription"], row.data["fingerprint"]].append(row.time)
    notes.append("new cause: a cause counts as new at its first death of this period")
    for (name, cause), deaths in times.items():
        messages, last = 0, None
        for at in sorted(deaths):
            if last is None or at - last >= MESSAGE_INTERVAL:
                messages, last = messages + 1, at
        title = f"Deliveries of {name} die"
        yield WouldBeRaised(Rule.NEW_CAUSE, name, cause, title, min(deaths), None, messages)


def _dead(
    session: Session, limit: int, since: datetime, notes: list[str]
) -> Iterator[WouldBeRaised]:
    notes.append("dead: only dead letters that are still there are counted")
    over = select(Delivery.died_at).where(IS_DEAD).order_by(Delivery.died_at)
    at = session.scalar(over.offset(limit).limit(1))
    if at is not None and at >= since:
        title = f"More than {limit:,} dead letter{'' if limit == 1 else 's'}"
        yield WouldBeRaised(Rule.DEAD, "all", "", title, at, None, 1)


def _late(
    session: Session, limit: float, since: datetime, now: datetime, notes: list[str]
) -> Iterator[WouldBeRaised]:
    """Yield each queue with deliveries that waited for too long, from the first to the last."""
    paused = set(
        session.scalars(select(SubscriptionRow.name).where(SubscriptionRow.paused_at.is_not(None)))
    )
    begun = func.coalesce(Delivery.failing_since, Delivery.due_at)
    ended = func.coalesce(Delivery.done_at, Delivery.died_at)
    latest = select(Delivery.queue, Delivery.subscription, begun, ended)
    rows: Sequence[Any] = session.execute(
        latest.order_by(Delivery.event_id.desc()).limit(MAX_ROWS)
    ).all()
    _note_bound(notes, "oldest", "deliveries", len(rows))
    notes.append("oldest: pauses of the past are not known, nor waits before a replay")
    waits: defaultdict[str, list[tuple[datetime, datetime | None]]] = defaultdict(list)
    for queue, name, start, end in rows:
        if name not in paused and (end or now) - start > timedelta(seconds=limit):
            waits[queue].append((start + timedelta(seconds=limit), end))
    for queue, found in waits.items():
        yield from _spells(Rule.OLDEST, queue, f"Queue {queue} is late", found, since, now)


def _behind(
    session: Session, limit: float, since: datetime, now: datetime, notes: list[str]
) -> Iterator[WouldBeRaised]:
    rows = session.execute(
        select(LogEntry.publish_at, LogEntry.relayed_at)
        .order_by(LogEntry.position.desc())
        .limit(MAX_ROWS)
    ).all()
    _note_bound(notes, "relay behind", "events", len(rows))
    late = [
        (start + timedelta(seconds=limit), end)
        for start, end in rows
        if (end or now) - start > timedelta(seconds=limit)
    ]
    yield from _spells(Rule.RELAY_BEHIND, "relay", "The relay is behind", late, since, now)


def _breakers(
    session: Session, limit: float, since: datetime, now: datetime
) -> Iterator[WouldBeRaised]:
    """Yield each outage that lasted long enough, from the breakers' own events."""
    notes: list[str] = []
    types = (BreakerOpened.type, BreakerClosed.type)
    rows = [row for each in types for row in _events(session, since, notes, "", each)]
    opened: dict[str, datetime] = {}
    spells: defaultdict[str, list[tuple[datetime, datetime | None]]] = defaultdict(list)
    wait = timedelta(seconds=limit)
    for row in sorted(rows, key=lambda each: each.time):
        name = row.data["dependency"]
        if row.type == BreakerOpened.type:
            if not row.data.get("by_hand"):
                opened.setdefault(name, row.time)
        elif (start := opened.pop(name, None)) is not None and row.time - start >= wait:
            spells[name].append((start + wait, row.time))
    for name, start in opened.items():
        if now - start >= wait:
            spells[name].append((start + wait, None))
    for name, found in spells.items():
        title = f"The breaker of {name} is open"
        yield from _spells(Rule.BREAKER_OPEN, name, title, found, since, now)


def _spells(
    rule: Rule,
    subject: str,
    title: str,
    found: Iterable[tuple[datetime, datetime | None]],
    since: datetime,
    now: datetime,
) -> Iterator[WouldBeRaised]:
    """Join what overlaps, and yield what was not over when the period began."""
    joined: list[tuple[datetime, datetime | None]] = []
    for start, end in sorted(found, key=lambda each: each[0]):
        if joined and (joined[-1][1] is None or start <= joined[-1][1]):
            last = joined[-1][1]
            later = None if last is None or end is None else max(last, end)
            joined[-1] = (joined[-1][0], later)
        else:
            joined.append((start, end))
    told: datetime | None = None
    for start, end in joined:
        at = max(start, since)
        if end is not None and end < since:
            continue
        first = at if told is None else max(at, told + MESSAGE_INTERVAL)
        last = end or now
        messages = 1 + int((last - first) / MESSAGE_INTERVAL) if last >= first else 0
        if messages:
            told = first + (messages - 1) * MESSAGE_INTERVAL
        yield WouldBeRaised(rule, subject, "", title, at, end, messages)


def _events(
    session: Session, since: datetime, notes: list[str], rule: str, event_type: str
) -> Sequence[Any]:
    wanted = select(LogEntry.type, LogEntry.time, LogEntry.data).where(LogEntry.type == event_type)
    rows = session.execute(wanted.order_by(LogEntry.position.desc()).limit(MAX_ROWS)).all()
    _note_bound(notes, rule, "deaths", len(rows))
    return [row for row in rows if row.time >= since]


def _note_bound(notes: list[str], rule: str, what: str, count: int) -> None:
    if count >= MAX_ROWS:
        notes.append(f"{rule}: only the latest {MAX_ROWS:,} {what} were examined")
