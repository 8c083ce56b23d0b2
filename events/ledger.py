"""The ledger: every change of a delivery's state, each in one statement that only an open row answers to."""

import traceback
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from events import clock, context, log
from events.database import sanitize_text
from events.envelope import Envelope
from events.retry import Decision
from events.settings import settings
from events.suspects import ISOLATE_AFTER_LOSSES
from events.system_events import DeliveryDead
from events.tables import IS_DONE, IS_OPEN, Attempt, Delivery, LogEntry, SubscriptionRow

IS_IN_FLIGHT = (IS_OPEN, Delivery.sent_at.is_not(None))
LONGEST_MESSAGE, LONGEST_TRACEBACK = 10_000, 100_000  # characters


@dataclass(frozen=True)
class Failure:
    """One failed try: what a row of `attempts` says."""

    error: BaseException
    worker: str
    started_at: datetime
    took: float = 0.0
    where: str = field(default="", kw_only=True)

    @property
    def kind(self) -> str:
        """The error's class."""
        return type(self.error).__name__

    @property
    def message(self) -> str:
        """What the error says, if it can."""
        try:
            return sanitize_text(str(self.error), LONGEST_MESSAGE)
        except Exception:
            return "it could not say what it is"

    @property
    def fingerprint(self) -> str:
        """The error's class and the innermost line of it: the same for failures of one cause, free of anybody's data."""
        return f"{self.kind} {self.where or innermost(self.error)}".strip()[:300]


def innermost(error: BaseException) -> str:
    """`folder/file.py:line function` where `error` was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if "site-packages" not in frame.filename and "/lib/python" not in frame.filename
    ] or list(frames)
    return (
        f"{'/'.join(Path(own[-1].filename).parts[-2:])}:{own[-1].lineno} {own[-1].name}"
        if own
        else ""
    )


def _one(subscription: str, event_id: UUID) -> ColumnElement[bool]:
    return and_(Delivery.subscription == subscription, Delivery.event_id == event_id)


@dataclass(frozen=True)
class InFlight:
    """A delivery that a message may ring for, with its event: open, and sent."""

    envelope: Envelope
    attempts: int
    lost_count: int
    paused: bool


# Both statements are built once: building them took as long as running them, and they run for every message.
_OURS = and_(
    Delivery.subscription == bindparam("name"),
    Delivery.event_id.in_(bindparam("ids", expanding=True)),
    *IS_IN_FLIGHT,
)
_LOOK = (
    select(*log.COLUMNS, Delivery.attempts, Delivery.lost_count, SubscriptionRow.paused_at)
    .join(LogEntry, LogEntry.id == Delivery.event_id)
    .outerjoin(SubscriptionRow, SubscriptionRow.name == Delivery.subscription)
    .where(_OURS)
    .order_by(LogEntry.position)
)
_CLAIM = (
    update(Delivery)
    .where(
        Delivery.subscription == bindparam("name"),
        Delivery.event_id.in_(
            select(Delivery.event_id).where(_OURS).with_for_update(skip_locked=True)
        ),
        *IS_IN_FLIGHT,
    )
    .values(
        state="done",
        done_at=bindparam("now"),
        error=None,
        fingerprint=None,
        lost_count=0,
        unfinished_starts=0,
    )
    .returning(Delivery.event_id)
    .execution_options(synchronize_session=False)
)


def in_flight(session: Session, subscription: str, ids: Sequence[UUID]) -> list[InFlight]:
    """Those of the deliveries that a message may still ring for, oldest event first."""
    rows = session.execute(_LOOK, {"name": subscription, "ids": ids})
    return [
        InFlight(log.envelope(row), row.attempts, row.lost_count, row.paused_at is not None)
        for row in rows
    ]


def claim(session: Session, subscription: str, ids: Sequence[UUID]) -> set[UUID]:
    """Mark deliveries done and return those that were open; the handler's work commits with the mark or not at all.

    A row that another worker is handling is skipped, not waited for: it ends or fails there.
    """
    return set(session.scalars(_CLAIM, {"name": subscription, "ids": ids, "now": clock.now()}))


def start(session: Session, subscription: str, event_id: UUID, *, worker: str) -> bool:
    """Count the start of a suspect, so that a delivery which kills its worker is found out; false if it is dead by that."""
    here = _one(subscription, event_id)
    starts = session.scalar(
        update(Delivery)
        .where(here, *IS_IN_FLIGHT)
        .values(unfinished_starts=Delivery.unfinished_starts + 1)
        .returning(Delivery.unfinished_starts)
    )
    if starts is None or starts <= settings().max_crashes:
        return True
    lose(session, here, worker=worker)
    return False


def fail(
    session: Session, subscription: str, event_id: UUID, failure: Failure, decision: Decision
) -> bool:
    """Write down a failed try and what follows; false if the delivery was no longer ours to fail."""
    now = clock.now()
    values: dict[str, Any] = {
        "lost_count": 0,
        "unfinished_starts": 0,
        "sent_at": None,
        "error": f"{failure.kind}: {failure.message}",
        "fingerprint": failure.fingerprint,
    }
    if decision.wait is None:
        values |= {"state": "dead", "died_at": now}
    else:
        values |= {"state": "retrying", "due_at": now + timedelta(seconds=decision.wait)}
    row = session.execute(
        update(Delivery)
        .where(_one(subscription, event_id), *IS_IN_FLIGHT)
        .values(attempts=Delivery.attempts + 1, **values)
        .returning(Delivery)
    ).scalar_one_or_none()
    if row is None:
        return False
    _write_attempt(session, row, failure)
    if decision.dead:
        _tell_of_death(session, row)
    log.wake(session)
    return True


def release(
    session: Session, subscription: str, ids: Sequence[UUID], *, wait: float, why: str | None = None
) -> None:
    """Give deliveries back unharmed, to be sent again in `wait` seconds; no try is counted, and no start: the worker lives."""
    values: dict[str, Any] = {
        "sent_at": None,
        "unfinished_starts": 0,
        "due_at": clock.now() + timedelta(seconds=wait),
    }
    values |= ({"error": why} if why else {}) | ({"state": "retrying"} if wait else {})
    session.execute(
        update(Delivery)
        .where(Delivery.subscription == subscription, Delivery.event_id.in_(ids), *IS_IN_FLIGHT)
        .values(**values)
    )
    log.wake(session)


def lose(
    session: Session,
    where: ColumnElement[bool],
    *,
    worker: str = "",
    why: str = "its worker died",
    weight: int = 1,
    limit: int | None = None,
) -> int:
    """Deliveries whose message is gone without an answer: send them again, or end a crash loop. Returns how many there were.

    From a weight of `ISOLATE_AFTER_LOSSES` on, a delivery travels alone and its starts are counted; after `max_crashes` counted starts
    without an end it is dead. One loss may be the broker's fault and weighs less.
    """
    rows = session.scalars(
        select(Delivery).where(where, *IS_IN_FLIGHT).limit(limit).with_for_update(skip_locked=True)
    ).all()
    again: defaultdict[tuple[str, int], list[UUID]] = defaultdict(list)
    for row in rows:
        if row.unfinished_starts >= settings().max_crashes:
            _end_crash_loop(session, row, worker, why)
        else:
            again[row.subscription, min(row.lost_count, 10)].append(row.event_id)
    for (subscription, patience), ids in again.items():
        values = {
            "lost_count": Delivery.lost_count + weight,
            "sent_at": None,
            "due_at": clock.now() + timedelta(seconds=patience),
        }
        session.execute(
            update(Delivery)
            .where(Delivery.subscription == subscription, Delivery.event_id.in_(ids))
            .values(values)
        )
    if rows:
        log.wake(session)
    return len(rows)


def crash(
    session: Session, subscription: str, ids: Sequence[UUID], *, worker: str, why: str
) -> int:
    """The process that handled these deliveries died: one of them may have killed it."""
    return lose(
        session,
        and_(Delivery.subscription == subscription, Delivery.event_id.in_(ids)),
        worker=worker,
        why=why,
        weight=ISOLATE_AFTER_LOSSES,
    )


class CrashLoop(Exception):
    """The delivery was started again and again, and its worker never answered."""


def _end_crash_loop(session: Session, row: Delivery, worker: str, why: str) -> None:
    error = CrashLoop(f"crash loop: started {settings().max_crashes} times, {why} each time")
    failure = Failure(error, worker, clock.now(), where=row.subscription)
    row.state, row.died_at, row.attempts = "dead", clock.now(), row.attempts + 1
    row.error, row.fingerprint, row.lost_count, row.unfinished_starts, row.sent_at = (
        f"CrashLoop: {error}",
        failure.fingerprint,
        0,
        0,
        None,
    )
    session.flush()
    _write_attempt(session, row, failure)
    _tell_of_death(session, row)


def _write_attempt(session: Session, row: Delivery, failure: Failure) -> None:
    session.execute(
        insert(Attempt).values(
            subscription=row.subscription,
            event_id=row.event_id,
            number=row.attempts,
            send=row.sends,
            started_at=failure.started_at,
            took=failure.took,
            worker=failure.worker,
            error_type=failure.kind[:200],
            message=failure.message,
            traceback=sanitize_text(
                "".join(traceback.format_exception(failure.error)), LONGEST_TRACEBACK
            ),
        )
    )


def _tell_of_death(session: Session, row: Delivery) -> None:
    [cause] = log.read(session, [row.event_id])
    if (
        cause.type == DeliveryDead.type
    ):  # the alert itself died; telling of it would go round for ever
        return
    fact = DeliveryDead(
        subscription=row.subscription,
        queue=row.queue,
        event_id=str(row.event_id),
        event_type=cause.type,
        attempts=row.attempts,
        fingerprint=row.fingerprint or "",
    )
    with context.acting(context.caused_by(cause)):
        log.publish(session, fact)


def last_settled(session: Session, queue: str) -> datetime | None:
    """When the latest-sent of the queue's done deliveries was sent: what was sent before it has left the queue too.

    Only those sent once tell: of one sent again, the first message may have been the one that was handled, and the second
    still lies behind thousands that would all be taken for lost.
    """
    sent_once = (Delivery.queue == queue, IS_DONE, Delivery.sends == 1)
    return session.scalar(select(func.max(Delivery.sent_at)).where(*sent_once))
