"""Counts of what the handlers of this process did, kept in memory until they are written.

A handled delivery costs an addition and no write: `events.count_flush` adds the sums of some
seconds to one row per subscription and minute.
"""

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Table, event
from sqlalchemy.orm import Session

from events import clock
from events.count_tables import BOUNDS, COUNTS, MINUTES, TOTALS
from events.dialects import DIALECTS, dialect_of
from events.envelope import Envelope

LATE = 60.0  # seconds; a later one may have been replayed, and then did not wait since the commit
_COLUMNS, _LIMITS = tuple(BOUNDS), tuple(BOUNDS.values())[:-1]

Numbers = defaultdict[tuple[int, str], Counter[str]]  # by minute and subscription


class Late(NamedTuple):
    """A delivery that was handled long after its event."""

    subscription: str
    event_id: UUID
    handled_at: datetime
    seconds: float


class _Pending:
    """The counts of this process that are not written yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.numbers: Numbers = defaultdict(Counter)
        self.late: list[Late] = []


_pending = _Pending()


def reset() -> None:
    """Forget what is not written yet: a forked child counts for itself."""
    global _pending
    _pending = _Pending()


def take() -> tuple[Numbers, list[Late]]:
    """Return what is not written yet, and begin anew."""
    pending = _pending
    with pending.lock:
        numbers, pending.numbers = pending.numbers, defaultdict(Counter)
        late, pending.late = pending.late, []
    return numbers, late


def put_back(numbers: Numbers, late: Sequence[Late]) -> None:
    """Keep for the next time what could not be written."""
    pending = _pending
    with pending.lock:
        pending.late += late
        for key, found in numbers.items():
            pending.numbers[key].update(found)


def note_handled(subscription: str, envelopes: Iterable[Envelope]) -> None:
    """Count deliveries that were handled just now, with the time since their events."""
    now, pending = clock.now(), _pending
    with pending.lock:
        for envelope in envelopes:
            seconds = (now - envelope.time).total_seconds()
            if seconds > LATE:
                pending.late.append(Late(subscription, envelope.id, now, seconds))
            else:
                add_handled(pending.numbers, subscription, now, seconds)


def note_failure(session: Session, subscription: str, *, dead: bool) -> None:
    """Count a failed attempt as soon as the session is committed."""
    key, pending = (minute_of(clock.now()), subscription), _pending

    def count(_: Session) -> None:
        with pending.lock:
            pending.numbers[key].update(("failed", "died" if dead else "retried"))

    event.listen(session, "after_commit", count, once=True)


def add_handled(numbers: Numbers, subscription: str, handled_at: datetime, seconds: float) -> None:
    """Count one delivery that took so long from the commit of its event to its effect."""
    counter = numbers[minute_of(handled_at), subscription]
    counter["handled"] += 1
    counter["milliseconds"] += max(0, round(seconds * 1000))
    counter[_COLUMNS[bisect_left(_LIMITS, seconds)]] += 1


def add_replayed(session: Session, subscriptions: Iterable[str]) -> None:
    """Write that deliveries of these subscriptions are replayed, in the caller's transaction."""
    minute = minute_of(clock.now())
    found = Counter(subscriptions).items()
    write(session, {(minute, name): Counter(replayed=number) for name, number in found})


def write(session: Session, numbers: Mapping[tuple[int, str], Counter[str]]) -> None:
    """Add to the rows, in the same order everywhere: two that write never wait for each other."""
    if not numbers:
        return
    dialect, totals = dialect_of(session).name, defaultdict[str, Counter[str]](Counter)
    minutes = []
    for (minute, name), found in sorted(numbers.items()):
        totals[name].update(found)
        minutes.append({"minute": minute, "subscription": name} | _values(found))
    rows = [{"subscription": name} | _values(found) for name, found in sorted(totals.items())]
    session.connection().execute(_adding(dialect, MINUTES), minutes)
    session.connection().execute(_adding(dialect, TOTALS), rows)


def minute_of(moment: datetime) -> int:
    """Return the minute of a moment, counted from 1970 in UTC."""
    return int(moment.timestamp()) // 60


def _values(found: Mapping[str, int]) -> dict[str, Any]:
    return {column: found.get(column, 0) for column in COUNTS}


@cache
def _adding(dialect: str, table: Table) -> Any:
    """Insert rows, or add to those with the same key."""
    row = DIALECTS[dialect].insert(table)
    sums = {column: table.c[column] + row.excluded[column] for column in COUNTS}
    return row.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)
