"""Replays as jobs: start, list, pause, resume, stop. Each act is audited once, not per delivery."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Unpack, cast

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session

from events import clock, ledger
from events.admin import audit, dead_letters, subscriptions
from events.admin.audit import Act
from events.admin.dead_letters import DeadLetterView
from events.dialects import dialect_of
from events.errors import (
    AlreadyReplaying,
    NothingToReplay,
    ReplayIsOver,
    UnknownDelivery,
    UnknownReplay,
)
from events.replays import driver, past, release
from events.replays.steps import AT_ONCE, Pace, planned
from events.replays.tables import JobState, Kind, Outcome, Replay, ReplayedDelivery
from events.selection import Selection, matching, named, parse, plain
from events.tables import Delivery, delivery_id

IS_LIVE = Replay.state.in_((JobState.RUNNING, JobState.PAUSED))


def start(
    session: Session, *, who: str, why: str, pace: Pace = AT_ONCE, **which: Unpack[Selection]
) -> Replay:
    """Start a job that replays dead letters, and give its first slice back in this transaction.

    Their events keep their context, and a call to the world keeps its idempotency key. What is
    settled by somebody else before its turn comes is skipped and counted. Raises `ValueError` for
    an empty selection, `UnknownDelivery` when an id is no delivery's, `NothingToReplay`, and
    `AlreadyReplaying` if a job that is not over has some of the same dead letters.
    """
    selection = plain(which)
    dialect_of(session).lock_table(session, Replay.__tablename__)
    _refuse_unknown(session, which)
    counted = select(func.count(), func.max(Delivery.died_at)).where(matching(which))
    found, latest = session.execute(counted).one()
    _refuse_overlap(session, selection, matching(which))
    if not found:
        raise _nothing(which)
    total = found if which.get("ids") is None else len(selection["ids"])
    target, _, parameters = named(which, why)
    act = Act(who, Kind.REPLAY, target, why, parameters)
    return _begin(session, act, selection, total, pace, died_until=latest)


def start_backfill(
    session: Session,
    subscription: str,
    *,
    who: str,
    why: str,
    pace: Pace = AT_ONCE,
    event_type: str | None = None,
) -> Replay:
    """Start a job that gives a subscription the past: events relayed before it was there.

    Gap-free while live events flow: an event not relayed yet gets its delivery from the fan-out,
    every other one here, but those whose delivery was pruned: they were handled or given up. Run
    twice it adds nothing. Raises `UnknownSubscription`, `NothingToReplay`, `AlreadyReplaying`.
    """
    row = subscriptions.find(session, subscription)
    if event_type and event_type not in row.event_types:
        types = ", ".join(row.event_types)
        raise NothingToReplay(f"{subscription} takes no {event_type!r}; its events are: {types}")
    selection = {"subscription": subscription} | ({"event_type": event_type} if event_type else {})
    dialect_of(session).lock_table(session, Replay.__tablename__)
    for job in session.scalars(select(Replay).where(IS_LIVE, Replay.kind == Kind.BACKFILL)):
        if job.selection["subscription"] == subscription:
            raise AlreadyReplaying(job.id, job.who, job.state)
    total = past.count(session, row, selection)
    if not total:
        raise NothingToReplay(f"{subscription} has every earlier event of its types already")
    parameters = {"event_type": event_type} if event_type else {}
    act = Act(who, Kind.BACKFILL, subscription, why, parameters)
    return _begin(session, act, selection, total, pace)


def again(session: Session, number: int, *, who: str, why: str, pace: Pace = AT_ONCE) -> Replay:
    """Start another job with the selection of an earlier one, for what that one has left.

    Raises `UnknownReplay`, and as `start` and `start_backfill` do.
    """
    job = find(session, number)
    if job.kind == Kind.BACKFILL:
        return start_backfill(session, **job.selection, who=who, why=why, pace=pace)
    return start(session, who=who, why=why, pace=pace, **cast("Selection", job.selection))


def pause(session: Session, number: int, *, who: str, why: str) -> bool:
    """Give nothing more back until `resume`. Return False, and change nothing, if it is paused.

    Raises `UnknownReplay` and `ReplayIsOver`, as the other two do.
    """
    return _change(session, number, JobState.PAUSED, "pause replay", who=who, why=why)


def resume(session: Session, number: int, *, who: str, why: str) -> bool:
    """Go on with a paused job. Return False, and change nothing, if it is running."""
    return _change(session, number, JobState.RUNNING, "resume replay", who=who, why=why)


def stop(session: Session, number: int, *, who: str, why: str) -> bool:
    """End a job; the rest stays dead. Return False, and change nothing, if it is stopped already.

    Deliveries that it gave back go on.
    """
    return _change(session, number, JobState.STOPPED, "stop replay", who=who, why=why)


def listed(session: Session, *, limit: int = 100, before: int | None = None) -> Sequence[Replay]:
    """Return the latest jobs, newest first, below the number `before`."""
    wanted = select(Replay).order_by(Replay.id.desc()).limit(limit)
    return session.scalars(wanted.where(Replay.id < before) if before else wanted).all()


def find(session: Session, number: int) -> Replay:
    """Return one job. Raises `UnknownReplay`."""
    row = session.get(Replay, number)
    if row is None:
        raise UnknownReplay(number)
    return row


def running(session: Session) -> int:
    """Return the number of jobs that are running or paused."""
    return session.scalar(select(func.count()).select_from(Replay).where(IS_LIVE)) or 0


def failed(session: Session, job: Replay, *, limit: int = 100) -> list[DeadLetterView]:
    """Return the deliveries of a job that died again and are dead still."""
    theirs = select(ReplayedDelivery.event_id, ReplayedDelivery.subscription).where(
        ReplayedDelivery.replay_id == job.id, ReplayedDelivery.outcome == Outcome.FAILED
    )
    ids = [delivery_id(*row) for row in session.execute(theirs.limit(limit))]
    return dead_letters.listed(session, ids=ids, limit=limit) if ids else []


def seconds_left(job: Replay, now: datetime) -> float | None:
    """Return how long a running job will take: by its rate, or by its progress if it is slower.

    Nothing while it is not known.
    """
    settled = job.done + job.failed + job.skipped
    rest = max(0, job.total - settled)
    if job.state != JobState.RUNNING:
        return None
    took = (now - job.created_at).total_seconds()
    seen = rest * took / settled if settled and took > 0 else None
    asked = rest / job.rate if job.rate else None
    return max((each for each in (seen, asked) if each is not None), default=None)


def _begin(
    session: Session,
    act: Act,
    selection: dict[str, Any],
    total: int,
    pace: Pace,
    *,
    died_until: datetime | None = None,
) -> Replay:
    now = clock.now()
    job = Replay(
        kind=act.action,
        state=JobState.RUNNING,
        selection=selection,
        total=total,
        steps=planned(pace.steps),
        rate=pace.rate,
        stop_above=pace.stop_above,
        created_at=now,
        died_until=max(now, died_until or now),  # by a clock that is ahead
        due_at=now,
        who=act.who,
        why=act.why,
        released=0,
        open=0,
        done=0,
        failed=0,
        skipped=0,
        exhausted=False,
        position=0,
        step=0,
    )
    session.add(job)
    session.flush()
    driver.advance(session, job)
    asked = {"rate": pace.rate, "steps": list(pace.steps), "stop_above": pace.stop_above}
    act.record(session, total, ends=True, replay=job.id, **asked)  # the audit's lock comes last
    return job


def _refuse_unknown(session: Session, which: Selection) -> None:
    ids = which.get("ids")
    if ids is None:
        return
    theirs = ledger.these((name, event_id) for event_id, name in map(parse, ids))
    found = session.execute(select(Delivery.event_id, Delivery.subscription).where(theirs))
    known = {delivery_id(event_id, name) for event_id, name in found}
    for each in ids:
        if each not in known:
            raise UnknownDelivery(each)


def _refuse_overlap(session: Session, selection: dict[str, Any], dead: ColumnElement[bool]) -> None:
    for job in session.scalars(select(Replay).where(IS_LIVE, Replay.kind == Kind.REPLAY)):
        shared = select(exists().where(and_(dead, release.left(job))))
        if job.selection == selection or session.scalar(shared):
            raise AlreadyReplaying(job.id, job.who, job.state)


def _nothing(which: Selection) -> Exception:
    for each in which.get("ids") or ():
        return UnknownDelivery(each)
    given = ", ".join(f"{name} {value!r}" for name, value in plain(which).items())
    return NothingToReplay(
        f"no dead letter matches {given}; `tidings dead-letters list` shows what there is"
    )


def _change(
    session: Session, number: int, state: JobState, action: str, *, who: str, why: str
) -> bool:
    job = session.get(Replay, number, with_for_update=True, populate_existing=True)
    if job is None:
        raise UnknownReplay(number)
    if job.state == state:
        return False
    if job.state in (JobState.STOPPED, JobState.DONE):
        raise ReplayIsOver(number, job.state)
    now = clock.now()
    if state == JobState.STOPPED:
        driver.end(job, state, f"{who} stopped it{f': {why}' if why else ''}", now)
    job.state, job.due_at = state, max(job.due_at, now)
    audit.record(session, who=who, action=action, target=f"replay {number}", why=why)
    return True
