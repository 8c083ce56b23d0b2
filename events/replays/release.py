"""Release: give the next slice of a job back, each delivery due at its time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, insert, or_, select
from sqlalchemy.orm import Session

from events import counts, ledger, log
from events.replays import past
from events.replays.tables import REPLAYED, Kind, Replay, ReplayedDelivery
from events.selection import Selection, matching
from events.tables import Delivery, SubscriptionRow

Key = tuple[UUID, str, int]  # event, subscription, sends before


def release(session: Session, job: Replay, limit: int, now: datetime) -> int:
    """Give up to `limit` deliveries back and return their number; note when none is left."""
    if job.kind == Kind.BACKFILL:
        keys = _insert_missing(session, job, limit, now)
    else:
        keys = _replay_dead(session, job, limit, now)
    if keys:
        _record(session, job, keys, now)
        log.wake(session)
    return len(keys)


def left(job: Replay) -> ColumnElement[bool]:
    """Select the dead letters that the job has not given back yet.

    One that died again has died after the job began, unless the clocks of two machines differ.
    """
    given_back = exists().where(
        ReplayedDelivery.replay_id == job.id,
        ReplayedDelivery.event_id == Delivery.event_id,
        ReplayedDelivery.subscription == Delivery.subscription,
    )
    selected = matching(cast("Selection", job.selection))
    in_time = or_(Delivery.died_at.is_(None), Delivery.died_at <= job.died_until)
    return and_(selected, in_time, ~given_back)


def _replay_dead(session: Session, job: Replay, limit: int, now: datetime) -> list[Key]:
    """Give dead letters back, the oldest death first."""
    columns = select(Delivery.event_id, Delivery.subscription, Delivery.sends)
    chosen = columns.where(left(job)).order_by(Delivery.died_at).limit(limit)
    rows = session.execute(chosen.with_for_update(skip_locked=True)).all()
    # A row that somebody else decides on at this moment is skipped, and counts until that is done.
    if len(rows) < limit:
        job.exhausted = len(rows) == len(session.execute(chosen).all())
    keys = [(event_id, subscription, sends) for event_id, subscription, sends in rows]
    due = _due_times(job, len(keys), now)
    ledger.replay(
        session,
        [(name, event_id, at) for (event_id, name, _), at in zip(keys, due, strict=True)],
    )
    counts.add_replayed(session, (name for _, name, _ in keys))
    return keys


def _insert_missing(session: Session, job: Replay, limit: int, now: datetime) -> list[Key]:
    """Insert the deliveries of past events, the oldest first."""
    one_at_a_time = select(SubscriptionRow).where(
        SubscriptionRow.name == job.selection["subscription"]
    )
    row = session.scalars(one_at_a_time.with_for_update()).one_or_none()
    if row is None:  # it was unregistered meanwhile
        job.exhausted = True
        return []
    events = session.execute(past.next_missing(row, job.selection, job.position, limit)).all()
    job.exhausted = len(events) < limit
    if events:
        job.position = events[-1][0]
    due = _due_times(job, len(events), now)
    ledger.insert_deliveries(
        session,
        [
            ledger.new_delivery(row.name, row.queue, event_id, at)
            for (_, event_id), at in zip(events, due, strict=True)
        ],
    )
    return [(event_id, row.name, 0) for _, event_id in events]


def _due_times(job: Replay, count: int, now: datetime) -> list[datetime]:
    """Return the due times of the next deliveries, at the job's rate."""
    if job.rate is None:
        return [now] * count
    first, interval = max(job.due_at, now), timedelta(seconds=1 / job.rate)
    job.due_at = first + count * interval
    return [first + index * interval for index in range(count)]


def _record(session: Session, job: Replay, keys: Sequence[Key], now: datetime) -> None:
    rows = [
        {
            "replay_id": job.id,
            "event_id": event_id,
            "subscription": subscription,
            "step": job.step,
            "sends": sends,
            "released_at": now,
            "outcome": None,
        }
        for event_id, subscription, sends in keys
    ]
    session.connection().execute(insert(REPLAYED), rows)
