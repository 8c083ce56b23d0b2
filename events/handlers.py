"""Handlers: run a subscription's handler on claimed events, and collect what these cause."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.orm import Session

from events import context, log, observers
from events.calls import Answer
from events.deadline import deadline
from events.dialects import dialect_of
from events.envelope import Envelope
from events.errors import TidingsError
from events.event import Event
from events.gathered import writing_later
from events.new_entries import new_entry
from events.subscriptions import Outcome, Subscription

Handled = tuple[Envelope, Event]
BATCH_TIME = 0.3  # seconds of one batch after which it is committed, and the rest is the next one
_HANDLING = "tidings.handling"  # in the `info` of a session whose transaction a handler has


class TransactionEnded(TidingsError):
    """A handler ended its worker's transaction, or went on after an error that had ended it."""

    def __init__(self) -> None:
        super().__init__(
            "a handler must not commit or roll back, nor go on after an error of the database; "
            "its worker commits, and what may fail is run within `with session.begin_nested():`"
        )


def run(
    subscription: Subscription,
    session: Session,
    claimed: Sequence[Handled],
    answers: Mapping[UUID, Answer],
    begin: Callable[[UUID | None], bool],
) -> list[dict[str, Any]]:
    """Run the handler and return the entries of the events that it caused, for the log.

    `begin` is called before each event with its id, or once without one where the handler takes
    the whole batch. Where it returns false, that event and those behind it are left out. Raises
    what the handler raises, and `TransactionEnded`.
    """
    with _left_open(session):
        if subscription.takes_batch and claimed:
            begin(None)
            return _run_on_batch(subscription, session, claimed)
        return _run_on_each(subscription, session, claimed, answers, begin)


def run_in_time(
    subscription: Subscription,
    session: Session,
    claimed: Sequence[Handled],
    answers: Mapping[UUID, Answer],
    *,
    limit: float,
    begin: Callable[[UUID | None], None],
) -> list[UUID]:
    """Run the handler and write what it caused; return the ids of the events not begun in time.

    Where calls were made, the handler only records their answers: each is begun. Raises as `run`
    does, and `DeadlineExceeded` if one takes longer than `limit` seconds, unless that is 0.
    """
    began, begun = time.monotonic(), 0
    with deadline(limit) as restart:

        def begin_in_time(event_id: UUID | None) -> bool:
            nonlocal begun
            if begun and not answers and time.monotonic() - began > BATCH_TIME:
                return False
            restart()
            begin(event_id)
            begun += 1
            return True

        with writing_later(session):
            entries = run(subscription, session, claimed, answers, begin_in_time)
    session.flush()
    log.append(session, entries)
    return [] if subscription.takes_batch else [envelope.id for envelope, _ in claimed[begun:]]


@contextmanager
def _left_open(session: Session) -> Iterator[None]:
    """Refuse a commit in the block, and check at its end that the transaction is still open.

    A commit would save the effect and the claim without the events that follow. After a rollback,
    or where PostgreSQL has an error in the transaction, the last commit would save nothing.
    """
    own = session.info[_HANDLING] = session.get_transaction()
    try:
        yield
    finally:
        del session.info[_HANDLING]
    if own is None or session.get_transaction() is not own or not own.is_active:
        raise TransactionEnded
    if dialect_of(session).is_aborted(session):
        raise TransactionEnded


def _refuse_commit(session: Session) -> None:
    """Refuse it within a handler, but not the release of a savepoint."""
    if _HANDLING in session.info and not session.in_nested_transaction():
        raise TransactionEnded


sqlalchemy_event.listen(Session, "before_commit", _refuse_commit)


def _run_on_each(
    subscription: Subscription,
    session: Session,
    claimed: Sequence[Handled],
    answers: Mapping[UUID, Answer],
    begin: Callable[[UUID], bool],
) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for envelope, event in claimed:
        if not begin(envelope.id):
            break
        answer = answers.get(envelope.id)
        values = () if answer is None else (answer.value,)
        with (
            context.acting(context.caused_by(envelope)),
            observers.handling(subscription.name, subscription.queue, [envelope]),
        ):
            entries += _entries(subscription.handler(event, session, *values))
    return entries


def _run_on_batch(
    subscription: Subscription, session: Session, claimed: Sequence[Handled]
) -> list[dict[str, Any]]:
    envelopes = [envelope for envelope, _ in claimed]
    with (
        context.handling(envelopes),
        observers.handling(subscription.name, subscription.queue, envelopes),
    ):
        returned: Any = subscription.handler([event for _, event in claimed], session)
    if returned is None:
        return []
    outcomes = [] if isinstance(returned, Event) else list(returned)
    if len(outcomes) != len(claimed):
        raise ValueError(
            f"{subscription.name} returned {type(returned).__name__} with {len(outcomes)} outcomes "
            f"for {len(claimed)} events; return a list with one for each, in their order, or None"
        )
    entries: list[dict[str, Any]] = []
    for (envelope, _), outcome in zip(claimed, outcomes, strict=True):
        with context.acting(context.caused_by(envelope)):
            entries += _entries(outcome)
    return entries


def _entries(outcome: Outcome) -> list[dict[str, Any]]:
    if outcome is None:
        return []
    return [new_entry(each) for each in ([outcome] if isinstance(outcome, Event) else outcome)]
