"""The driver of the replays: outcomes, the decision to stop, the next slice, in one transaction.

Every process may drive every job: the lock on the job's row gives each slice to one of them, and a
process that dies leaves the job as the last commit has it.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import and_, or_, select, tuple_, update
from sqlalchemy.orm import Session

from events import clock
from events.database import looking, reading, transaction
from events.db_errors import is_transient, unavailable_reason
from events.dialects import DIALECTS
from events.ledger import OPEN, State
from events.replays.release import release
from events.replays.steps import (
    AHEAD,
    SLICE,
    SLICES,
    Step,
    parsed,
    quota,
    reason_to_stop,
    stored,
    too_many_failed,
)
from events.replays.tables import IS_ACTIVE, REPLAYED, JobState, Outcome, Replay
from events.slice_size import FIRST_ROWS, SliceSize
from events.tables import DELIVERIES

logger = structlog.get_logger("tidings.replays")

_ANY_ACTIVE = select(Replay.id).where(IS_ACTIVE).limit(1)
_R, _D = REPLAYED.c, DELIVERIES.c
_OUTCOMES = {State.DONE: Outcome.DONE, State.DEAD: Outcome.FAILED}


def drive() -> bool:
    """Advance every job that has something to do by a few slices; return whether any is active.

    Each slice is a transaction, so that others can write in between.
    """
    with looking() as connection:  # without a session: the relay looks all the time
        if not DIALECTS[connection.dialect.name].fetch(connection, _ANY_ACTIVE, {}):
            return False
    with reading() as session:  # to look is cheap; the write lock is not
        jobs = session.scalars(select(Replay).where(IS_ACTIVE).order_by(Replay.id)).all()
        now = clock.now()
        ready = [job.id for job in jobs if _may_release(job, now) or _settled(session, job, 1)]
    size = SliceSize(SLICE)
    for job_id in ready:
        try:
            for _ in range(SLICES):
                if not _advance_one(job_id, size):
                    break
        except Exception as error:
            if is_transient(error) or unavailable_reason(error):
                raise
            _stop_broken(job_id, error)
    return bool(jobs)


def _advance_one(job_id: int, size: SliceSize) -> bool:
    """Advance a job by one slice; return whether the slice was full, so that more may follow."""
    asked = size.rows
    with transaction() as session:
        began = size.begin(session)
        found = select(Replay).where(Replay.id == job_id, IS_ACTIVE)
        job = session.scalar(found.with_for_update(skip_locked=True))
        done = advance(session, job, asked) if job is not None else 0
    size.end(done, began)
    return done >= asked


def advance(session: Session, job: Replay, most: int = FIRST_ROWS) -> int:
    """Write outcomes, stop if too many died again, and give the next slice back.

    Return the number of rows that it changed, of those of which it changed more.
    """
    now, released = clock.now(), 0
    settled = _write_outcomes(session, job, most)
    _judge(job, now)
    _end_step(job, now)
    if count := min(_quota(job, now), most):
        step = parsed(job.steps)[job.step].began(now)
        released = release(session, job, count, now)
        _replace_step(job, step.counted(released=released))
        job.released += released
        job.open += released
        job.total = max(job.total, job.released)
        _end_step(job, now)
    session.flush()
    return max(settled, released)


def end(job: Replay, state: JobState, because: str | None, now: datetime) -> None:
    """End a job; deliveries that it gave back go on, the rest is untouched."""
    job.state, job.stopped_because, job.ended_at = state, because, now
    logger.info("replay.ended", replay=job.id, state=state, because=because)


def _stop_broken(job_id: int, error: Exception) -> None:
    """Stop a job that cannot go on, so that it does not keep the others from it."""
    logger.error("replay.failed", replay=job_id, error=repr(error)[:500])
    with transaction() as session:
        job = session.get(Replay, job_id, with_for_update=True)
        if job is not None and job.state in (JobState.RUNNING, JobState.PAUSED):
            end(job, JobState.STOPPED, f"it failed: {type(error).__name__}", clock.now())


def _may_release(job: Replay, now: datetime) -> bool:
    try:
        return _quota(job, now) > 0
    except Exception:  # `advance` fails in the same way, and the job is stopped
        return True


def _quota(job: Replay, now: datetime) -> int:
    if job.state != JobState.RUNNING or job.exhausted:
        return 0
    ahead = (now + timedelta(seconds=AHEAD) - max(job.due_at, now)).total_seconds()
    step = parsed(job.steps)[job.step]
    return quota(step, open_now=job.open, rate=job.rate, ahead=ahead)


def _settled(session: Session, job: Replay, limit: int) -> Sequence[Any]:
    """Return the deliveries of the job that were settled since it looked last."""
    delivery = and_(_D.event_id == _R.event_id, _D.subscription == _R.subscription)
    return session.execute(
        select(_R.event_id, _R.subscription, _R.step, _D.state)
        .select_from(REPLAYED.outerjoin(DELIVERIES, delivery))
        .where(_R.replay_id == job.id, _R.outcome.is_(None))
        .where(or_(_D.state.is_(None), _D.state.not_in(OPEN)))
        .limit(limit)
    ).all()


def _write_outcomes(session: Session, job: Replay, most: int) -> int:
    counts: Counter[tuple[int, Outcome]] = Counter()
    keys: dict[Outcome, list[tuple[Any, str]]] = {}
    for event_id, subscription, step, state in _settled(session, job, most):
        outcome = _OUTCOMES.get(state, Outcome.SKIPPED)
        counts[step, outcome] += 1
        keys.setdefault(outcome, []).append((event_id, subscription))
    for outcome, theirs in keys.items():
        these = and_(_R.replay_id == job.id, tuple_(_R.event_id, _R.subscription).in_(theirs))
        session.execute(update(REPLAYED).where(these).values(outcome=outcome))
    steps = parsed(job.steps)
    for (step, outcome), number in counts.items():
        steps[step] = steps[step].counted(**{outcome.value: number})
        setattr(job, outcome.value, getattr(job, outcome.value) + number)
        job.open -= number
    if counts:
        job.steps = stored(steps)
    return counts.total()


def _judge(job: Replay, now: datetime) -> None:
    """Stop the job if too large a share of its step died again and others are left."""
    if job.exhausted or job.state not in (JobState.RUNNING, JobState.PAUSED):
        return
    step = parsed(job.steps)[job.step]
    if too_many_failed(step, job.stop_above):
        end(job, JobState.STOPPED, reason_to_stop(step, job.step + 1, job.stop_above), now)


def _end_step(job: Replay, now: datetime) -> None:
    """Begin the next step, or end the job, when every delivery of the step is settled."""
    if job.open or job.state not in (JobState.RUNNING, JobState.PAUSED):
        return
    if job.exhausted:
        job.skipped = max(job.skipped, job.total - job.done - job.failed)
        end(job, JobState.DONE, None, now)
    elif parsed(job.steps)[job.step].is_full:
        job.step += 1


def _replace_step(job: Replay, step: Step) -> None:
    steps = parsed(job.steps)
    steps[job.step] = step
    job.steps = stored(steps)
