"""Retention: what the ledger may forget after a while. Events stay unless that is asked for.

What was forgotten is not given out again: for each subscription and type of event it is remembered up to when deliveries were
removed, and a backfill begins after that.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    delete,
    exists,
    false,
    func,
    not_,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from events.admin import audit
from events.database import reading, transaction
from events.tables import Attempt, Delivery, InvalidMessageRow, LogEntry, Pruning


@dataclass(frozen=True)
class Limits:
    """The moments before which things are forgotten; `None` keeps them for ever.

    `dead` is for dead letters, discarded deliveries and invalid messages, `done` for handled deliveries, `events` for events whose
    whole subject is older and has nothing left in the ledger.
    """

    dead: datetime
    done: datetime | None = None
    events: datetime | None = None

    def __str__(self) -> str:
        moments = {
            "dead letters and invalid_messages": self.dead,
            "handled deliveries": self.done,
            "events": self.events,
        }
        return ", ".join(
            f"{what} before {moment:%Y-%m-%d %H:%M} UTC"
            for what, moment in moments.items()
            if moment
        )


@dataclass(frozen=True)
class Counts:
    """How many rows of each kind."""

    dead_letters: int = 0
    done: int = 0
    attempts: int = 0
    invalid_messages: int = 0
    events: int = 0


def count(limits: Limits) -> Counts:
    """How many rows `prune` would remove now."""
    old = or_(_dead(limits), _done(limits))
    with reading() as session:
        return Counts(
            dead_letters=_number(
                session, select(func.count()).select_from(Delivery).where(_dead(limits))
            ),
            done=_number(session, select(func.count()).select_from(Delivery).where(_done(limits))),
            attempts=_number(
                session,
                select(func.count()).select_from(Attempt).where(exists().where(_of_attempt(), old)),
            ),
            invalid_messages=_number(
                session,
                select(func.count())
                .select_from(InvalidMessageRow)
                .where(InvalidMessageRow.at < limits.dead),
            ),
            events=_number(
                session,
                select(func.count()).select_from(LogEntry).where(_over(limits, holding=not_(old))),
            ),
        )


def prune(limits: Limits, *, who: str, why: str = "", at_once: int = 1000) -> Counts:
    """Remove what is older than `limits`, and write into the audit that it was done.

    Commits after each `at_once` rows, so that nobody waits long; run again after a failure it goes on.
    """
    with transaction() as session:
        audit.record(session, who=who, action="prune", target=str(limits), why=why)
    dead, tries = _repeat(lambda session: _forget(session, _dead(limits), at_once))
    done, more_tries = _repeat(lambda session: _forget(session, _done(limits), at_once))
    invalid_messages, _ = _repeat(
        lambda session: (
            _delete(
                session,
                InvalidMessageRow,
                InvalidMessageRow.id,
                InvalidMessageRow.at < limits.dead,
                at_once,
            ),
            0,
        )
    )
    entries, _ = _repeat(
        lambda session: (_delete(session, LogEntry, LogEntry.position, _over(limits), at_once), 0)
    )
    return Counts(
        dead_letters=dead,
        done=done,
        attempts=tries + more_tries,
        invalid_messages=invalid_messages,
        events=entries,
    )


def _repeat(step: Callable[[Session], tuple[int, int]]) -> tuple[int, int]:
    rows = others = 0
    while True:
        with transaction() as session:
            done, besides = step(session)
        if not done:
            return rows, others
        rows, others = rows + done, others + besides


def _dead(limits: Limits) -> ColumnElement[bool]:
    dead = and_(
        Delivery.state == "dead", func.coalesce(Delivery.died_at, Delivery.due_at) < limits.dead
    )
    given_up = func.coalesce(Delivery.done_at, Delivery.died_at, Delivery.due_at) < limits.dead
    return or_(dead, and_(Delivery.state == "discarded", given_up))


def _done(limits: Limits) -> ColumnElement[bool]:
    if limits.done is None:
        return false()
    return and_(
        Delivery.state == "done", func.coalesce(Delivery.done_at, Delivery.due_at) < limits.done
    )


def _over(limits: Limits, *, holding: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
    """Events of subjects that nothing happened to since, and of which no delivery is left that counts as `holding`."""
    if limits.events is None:
        return false()
    other, whole = aliased(LogEntry), _whole_subject
    held = exists().where(
        Delivery.event_id == other.id, whole(other), *([] if holding is None else [holding])
    )
    goes_on = exists().where(
        whole(other), or_(other.time >= limits.events, other.relayed_at.is_(None))
    )
    return and_(LogEntry.time < limits.events, LogEntry.relayed_at.is_not(None), ~held, ~goes_on)


def _whole_subject(other: Any) -> ColumnElement[bool]:
    return or_(other.position == LogEntry.position, other.subject == LogEntry.subject)


def _of_attempt() -> ColumnElement[bool]:
    return and_(
        Delivery.subscription == Attempt.subscription, Delivery.event_id == Attempt.event_id
    )


def _number(session: Session, query: Any) -> int:
    return session.scalar(query) or 0


def _delete(
    session: Session, kind: Any, key: Any, chosen: ColumnElement[bool], at_once: int
) -> int:
    keys = session.scalars(select(key).where(chosen).limit(at_once)).all()
    session.execute(
        delete(kind).where(key.in_(keys)), execution_options={"synchronize_session": False}
    )
    return len(keys)


def _forget(session: Session, chosen: ColumnElement[bool], at_once: int) -> tuple[int, int]:
    """Remove some deliveries with their attempts; how many of each."""
    wanted = select(
        Delivery.subscription, Delivery.event_id, LogEntry.type, LogEntry.relayed_at
    ).where(chosen)
    joined = wanted.join(LogEntry, LogEntry.id == Delivery.event_id).limit(at_once)
    rows: Sequence[Any] = session.execute(
        joined.with_for_update(of=Delivery, skip_locked=True)
    ).all()
    keys = [(row.subscription, row.event_id) for row in rows]
    tries = session.execute(
        delete(Attempt)
        .where(tuple_(Attempt.subscription, Attempt.event_id).in_(keys))
        .returning(Attempt.id)
    ).all()
    session.execute(
        delete(Delivery).where(tuple_(Delivery.subscription, Delivery.event_id).in_(keys))
    )
    _remember(session, rows)
    return len(rows), len(tries)


def _remember(session: Session, rows: Sequence[Any]) -> None:
    """Note up to when deliveries of a subscription were forgotten, so that no backfill gives them again."""
    latest: dict[tuple[str, str], datetime] = {}
    for row in rows:
        key = row.subscription, row.type
        latest[key] = max(row.relayed_at, latest.get(key, row.relayed_at))
    if not latest:
        return
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    fresh = [
        {"subscription": name, "event_type": type, "until": until}
        for (name, type), until in sorted(latest.items())
    ]
    session.execute(dialect.insert(Pruning).on_conflict_do_nothing(), fresh)
    for each in fresh:
        here = (
            Pruning.subscription == each["subscription"],
            Pruning.event_type == each["event_type"],
        )
        session.execute(
            update(Pruning).where(*here, Pruning.until < each["until"]).values(until=each["until"])
        )


def forgotten(subscription: str) -> ColumnElement[bool]:
    """Whether an event of the log may be one whose delivery to `subscription` was removed."""
    return exists().where(
        Pruning.subscription == subscription,
        Pruning.event_type == LogEntry.type,
        Pruning.until >= LogEntry.relayed_at,
    )
