"""Suspects: the whole rule for deliveries whose worker died while it handled them.

What happens                        What is counted                  What follows
──────────────────────────────────  ───────────────────────────────  ─────────────────────────────
the relay finds its message lost    `lost_count` + 1                 sent again after a delay
a process died that handled it      `lost_count` becomes 2 or more   sent again: it is a suspect
its message came back redelivered   nothing                          it is a suspect this time
the same, and it was started        `lost_count` becomes 2 or more   given back: it is isolated
a suspect starts                    `unfinished_starts` + 1          isolated: alone in its message
a handler returns or raises         both become 0                    no suspect any more
`max_crashes` unfinished starts     an attempt, `CrashLoop`          dead

One loss may be the broker's fault, so it isolates nothing: an emptied broker is refilled in
batches. Of the suspects that were started, one is on its way at a time in each queue: in a process
of threads a slow one would die with the deadly one, each time, and be counted with it.

A suspect takes a whole message of the window. While other deliveries wait, as many suspects are in
flight as the queue has slots, so that neither wait for the end of the other's backlog.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session

from events import clock, ledger
from events.attempts import Failure
from events.ledger import IS_IN_FLIGHT
from events.settings import settings
from events.tables import Delivery

ISOLATE_AFTER_LOSSES = 2
SUSPECT_RETRY_DELAY = 2.0  # seconds until a suspect is looked at again that may not go yet
MAX_LOSS_DELAY = 10.0  # seconds; a lost delivery waits a second for each loss before


class CrashLoop(Exception):
    """The delivery was started again and again, and its worker never answered."""


def is_suspect(lost_count: int) -> bool:
    """Tell whether a delivery is isolated: alone in its message, and its starts counted."""
    return lost_count >= ISOLATE_AFTER_LOSSES


def hold_back_suspects(session: Session, subscription: str, due: Sequence[Any]) -> list[UUID]:
    """Return the ids to send now; defer every started suspect but the first.

    `due` are rows with event_id, queue and unfinished_starts. The deferred ones are looked at
    again after `SUSPECT_RETRY_DELAY`.
    """
    suspects = [row for row in due if row.unfinished_starts]
    if not suspects:
        return [row.event_id for row in due]
    under_way = exists().where(
        Delivery.queue == suspects[0].queue, IS_IN_FLIGHT, Delivery.unfinished_starts > 0
    )
    first_may_go = not session.scalar(select(under_way))
    held = {row.event_id for row in suspects[1 if first_may_go else 0 :]}
    later = clock.now() + timedelta(seconds=SUSPECT_RETRY_DELAY)
    ledger.defer(session, subscription, held, later)
    return [row.event_id for row in due if row.event_id not in held]


def count_in_flight(session: Session, subscription: str) -> int:
    """Return the number of suspects in flight, each in a message of its own."""
    found = select(func.count()).where(
        Delivery.subscription == subscription,
        IS_IN_FLIGHT,
        Delivery.lost_count >= ISOLATE_AFTER_LOSSES,
    )
    return session.scalar(found) or 0


def record_start(session: Session, subscription: str, event_id: UUID, *, worker: str) -> bool:
    """Count the start of a suspect before it runs; false if it is dead by that."""
    starts = ledger.count_start(session, subscription, event_id)
    if starts is None or starts <= settings().max_crashes:
        return True
    this = and_(Delivery.subscription == subscription, Delivery.event_id == event_id)
    mark_lost(session, this, worker=worker)
    return False


def report_crash(
    session: Session,
    subscription: str,
    ids: Sequence[UUID],
    *,
    worker: str,
    why: str = "its worker died",
) -> int:
    """Count the death of the process that handled these; return the number of deliveries."""
    these = and_(Delivery.subscription == subscription, Delivery.event_id.in_(ids))
    return mark_lost(session, these, worker=worker, why=why, at_least=ISOLATE_AFTER_LOSSES)


def mark_lost(
    session: Session,
    where: ColumnElement[bool],
    *,
    worker: str = "",
    why: str = "its worker died",
    at_least: int = 1,
    limit: int | None = None,
) -> int:
    """Reschedule in-flight deliveries whose message was lost; return their number.

    Those that reached `max_crashes` are dead-lettered. `at_least` is the lowest `lost_count`
    afterwards.
    """
    found = select(Delivery).where(where, IS_IN_FLIGHT).limit(limit)
    rows = session.scalars(found.with_for_update(skip_locked=True)).all()
    again: defaultdict[tuple[str, float], list[UUID]] = defaultdict(list)
    for row in rows:
        if row.unfinished_starts >= settings().max_crashes:
            _end_crash_loop(session, row, worker, why)
        else:
            delay = min(float(row.lost_count), MAX_LOSS_DELAY)
            again[row.subscription, delay].append(row.event_id)
    for (subscription, delay), ids in again.items():
        ledger.mark_lost(session, subscription, ids, delay=delay, at_least=at_least)
    return len(rows)


def _end_crash_loop(session: Session, row: Delivery, worker: str, why: str) -> None:
    error = CrashLoop(f"crash loop: started {settings().max_crashes} times, {why} each time")
    ledger.bury(session, row, Failure(error, worker, clock.now(), where=row.subscription))
