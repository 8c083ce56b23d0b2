"""The figures of queues and subscriptions: backlog, rate, and the time from commit to effect.

What was handled is read from the counts (`events.counts`), never from the ledger: that costs the
same after a million deliveries.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.orm import Session

from events import clock
from events.admin import queues, worker_versions
from events.admin.queues import Backlog, QueueView
from events.admin.worker_versions import WorkerVersion
from events.count_tables import BOUNDS, COUNTS, MINUTES, OUTCOMES, TOTALS
from events.counts import minute_of
from events.slots import slots_by_queue, window
from events.tables import SubscriptionRow

RATE_MINUTES, TIMES_MINUTES, HISTORY_MINUTES = 5, 60, 360
POINT_MINUTES = 5  # of the history

Counts = defaultdict[str, Counter[str]]  # by subscription


@dataclass(frozen=True)
class Times:
    """The time from commit to effect in seconds of 50, 95 and 99 % of the handled deliveries.

    Each is interpolated between the bounds of the histogram, as Prometheus does; one above the
    highest bound is that bound.
    """

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class Point(Times):
    """The deliveries that were handled in the five minutes from `at`, and their times."""

    at: datetime
    handled: int


@dataclass(frozen=True)
class Figures(Backlog, Times):
    """The figures of a subscription or of a queue.

    `per_minute` is the number of deliveries that were handled in a minute, over the last five; p50,
    p95 and p99 are those of the last hour; `handled`, `failed` (attempts), `retried`, `died` and
    `replayed` count from the beginning. `window` is the number of task messages that may be in
    flight.
    """

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    name: str = ""
    queue: str = ""
    state: str = "ok"
    per_minute: float = 0.0
    handled: int = 0
    failed: int = 0
    retried: int = 0
    died: int = 0
    replayed: int = 0
    window: int = 0
    workers: int = 0
    paused: bool = False


@dataclass(frozen=True)
class QueueStats:
    """A queue: its figures, its subscriptions, its history, and the versions of its workers.

    The oldest point of the history, and the version that started first, come first.
    """

    view: QueueView
    figures: Figures
    subscriptions: Sequence[Figures]
    history: Sequence[Point]
    versions: Sequence[WorkerVersion]


def read(session: Session, *, history: bool = True) -> list[QueueStats]:
    """Return the figures of every queue, by name; without `history` the points are left out."""
    found, now = queues.backlogs(session), clock.now()
    views = queues.of_queues(session, found)
    hour = _counts(session, MINUTES, since=minute_of(now) - TIMES_MINUTES + 1)
    lines = _subscriptions(session, {view.name: view for view in views}, found, hour)
    points = _history(session, minute_of(now)) if history else {}
    versions = worker_versions.by_queue(session)
    return [
        QueueStats(
            view,
            _of_queue(view, lines[view.name], hour),
            lines[view.name],
            _merged(points, [line.name for line in lines[view.name]]),
            versions[view.name],
        )
        for view in views
    ]


def totals(session: Session) -> Counts:
    """Return the counts of each subscription since its first delivery."""
    return _counts(session, TOTALS)


def times_of(counted: Mapping[str, int]) -> Times:
    """Return the times of deliveries that were counted in the columns of the histogram."""
    return Times(*(_quantile(counted, share) for share in (0.5, 0.95, 0.99)))


def _subscriptions(
    session: Session,
    views: Mapping[str, QueueView],
    found: Mapping[queues.Key, Backlog],
    hour: Counts,
) -> defaultdict[str, list[Figures]]:
    now, ever, slots = clock.now(), totals(session), slots_by_queue(session)
    recent = _counts(session, MINUTES, since=minute_of(now) - RATE_MINUTES)
    minutes = RATE_MINUTES + now.timestamp() % 60 / 60
    lines: defaultdict[str, list[Figures]] = defaultdict(list)
    for row in session.scalars(select(SubscriptionRow).order_by(SubscriptionRow.name)):
        view, name = views[row.queue], row.name
        backlog = found.get((row.queue, name), Backlog())
        figures = Figures(
            **vars(backlog),
            **vars(times_of(hour[name])),
            **{each: ever[name][each] for each in OUTCOMES},
            name=name,
            queue=row.queue,
            state=_state(row, view),
            per_minute=round(recent[name]["handled"] / minutes, 2),
            window=window(slots[row.queue]),
            workers=view.workers,
            paused=row.paused_at is not None,
        )
        lines[row.queue].append(figures)
    return lines


def _state(row: SubscriptionRow, view: QueueView) -> str:
    if row.paused_at is not None:
        return "paused"
    if view.state == "breaker open" and row.depends_on not in view.breakers:
        return "ok"
    return view.state


def _of_queue(view: QueueView, lines: Sequence[Figures], hour: Counts) -> Figures:
    summed = ("per_minute", "window", *OUTCOMES)
    sums: dict[str, Any] = {name: sum(getattr(line, name) for line in lines) for name in summed}
    sums["per_minute"] = round(sums["per_minute"], 2)
    backlog = {name: getattr(view, name) for name in Backlog.__dataclass_fields__}
    times = times_of(_total(hour[line.name] for line in lines if line.name in hour))
    return Figures(
        **backlog,
        **vars(times),
        **sums,
        name=view.name,
        queue=view.name,
        state=view.state,
        workers=view.workers,
        paused=view.paused,
    )


def _merged(points: Mapping[str, Mapping[int, Counter[str]]], names: Iterable[str]) -> list[Point]:
    """Return the points of these subscriptions together."""
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for name in names:
        for slot, counted in points.get(name, {}).items():
            found[slot].update(counted)
    return [
        Point(
            **vars(times_of(counted)),
            at=datetime.fromtimestamp(slot * POINT_MINUTES * 60, UTC),
            handled=counted["handled"],
        )
        for slot, counted in sorted(found.items())
        if counted["handled"]
    ]


def _counts(session: Session, table: Table, *, since: int = 0) -> defaultdict[str, Counter[str]]:
    sums = [func.sum(table.c[name]) for name in COUNTS]
    query = select(table.c.subscription, *sums).group_by(table.c.subscription)
    if table is MINUTES:
        query = query.where(table.c.minute >= since)
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, *numbers in session.execute(query):
        found[name] = Counter(dict(zip(COUNTS, map(int, numbers), strict=True)))
    return found


def _history(session: Session, now: int) -> defaultdict[str, dict[int, Counter[str]]]:
    """Return the counts by subscription and by the number of their five minutes since 1970."""
    columns = ("handled", *BOUNDS)
    slot = MINUTES.c.minute // POINT_MINUTES
    sums = [func.sum(MINUTES.c[name]) for name in columns]
    first = now - now % POINT_MINUTES - HISTORY_MINUTES + POINT_MINUTES
    query = select(MINUTES.c.subscription, slot.label("slot"), *sums)
    query = query.where(MINUTES.c.minute >= first).group_by(MINUTES.c.subscription, slot)
    found: defaultdict[str, dict[int, Counter[str]]] = defaultdict(dict)
    for name, number, *numbers in session.execute(query):
        found[name][int(number)] = Counter(dict(zip(columns, map(int, numbers), strict=True)))
    return found


def _total(parts: Iterable[Counter[str]]) -> Counter[str]:
    return sum(parts, Counter())


def _quantile(counted: Mapping[str, int], share: float) -> float | None:
    rank = share * sum(counted.get(column, 0) for column in BOUNDS)
    if not rank:
        return None
    below, lower = 0, 0.0
    for column, upper in BOUNDS.items():
        count = counted.get(column, 0)
        if count and below + count >= rank:
            return lower + (upper - lower) * (rank - below) / count if column != "later" else lower
        below, lower = below + count, upper
    return lower
