"""A dry run in this process: the real handler, in a transaction that is always rolled back."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NoReturn

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import clock, handlers, log, subscriptions
from events.attempts import Failure
from events.calls import Answer, call_each
from events.database import Database, database, reading
from events.dry_runs.outside import Calls, refusing
from events.dry_runs.result import DryRun, EventOut, RowChange
from events.dry_runs.rows import MAX_ROWS, RowRecorder
from events.envelope import Envelope
from events.errors import TidingsError, UnknownDelivery
from events.selection import parse
from events.subscriptions import Subscription
from events.tables import Delivery, LogEntry, SubscriptionRow

Guard = Callable[[], AbstractContextManager[Any]]


class CommitRefused(TidingsError):
    """A handler opened a transaction of its own."""

    def __init__(self) -> None:
        super().__init__("a dry run commits nothing; the handler must leave that to its worker")


class RolledBackDatabase(Database):
    """A database for the process of dry runs: code that opens a transaction of its own fails."""

    def transaction(self) -> NoReturn:
        """Refuse."""
        raise CommitRefused

    relaxed = marking = transaction


def dry_run(delivery_id: str, *, answer: str | None = None, guard: Guard = nullcontext) -> DryRun:
    """Run the handler of a delivery, and return what it would do.

    The delivery may be in any state, and keeps it. `answer` is the name of the example answer to
    the calls; `guard` is entered while the transaction holds its locks. Raises `UnknownDelivery`
    and `UnknownSubscription`.
    """
    subscription, envelope = _found(delivery_id)
    calls, began = Calls(answer), time.monotonic()
    result = DryRun(delivery_id=delivery_id, outcome="handled")
    try:
        with refusing(calls):
            answers: dict[Any, Answer] = {}
            if subscription.call is not None:
                answers = call_each(subscription, [envelope])
                if error := answers[envelope.id].error:
                    raise error
            with guard(), _rolled_back() as session:
                _handle(session, subscription, envelope, answers, result)
    except Exception as error:
        failure = Failure(error, "dry run", clock.now())
        result.outcome, result.error = "failed", f"{failure.error_type}: {failure.message}"
        result.traceback = failure.traceback[-10_000:]
        result.rows, result.events = [], []
    result.calls, result.seconds = calls.made, time.monotonic() - began
    return result


def _found(delivery_id: str) -> tuple[Subscription, Envelope]:
    event_id, name = parse(delivery_id)
    with reading() as session:
        if session.get(Delivery, (event_id, name)) is None:
            raise UnknownDelivery(delivery_id)
        [envelope] = log.read(session, [event_id])
    return subscriptions.subscription(name), envelope


@contextmanager
def _rolled_back() -> Iterator[Session]:
    session = Session(database().writer, expire_on_commit=False)
    try:
        yield session
    finally:
        session.rollback()
        session.close()


def _handle(
    session: Session,
    subscription: Subscription,
    envelope: Envelope,
    answers: dict[Any, Answer],
    result: DryRun,
) -> None:
    recorder = RowRecorder(session)
    claimed = [(envelope, envelope.event())]
    handlers.run_in_time(subscription, session, claimed, answers, limit=0.0, begin=lambda _: None)
    with reading() as committed:
        subscribers = _subscribers(committed)
        for table, change in recorder.changes(committed):
            if table.name == LogEntry.__tablename__:
                result.events.append(_event(change, subscribers))
            elif len(result.rows) < MAX_ROWS:
                result.rows.append(change)
            else:
                result.more_rows += 1
    result.statements = recorder.statements


def _subscribers(session: Session) -> list[tuple[str, list[str]]]:
    wanted = select(SubscriptionRow.name, SubscriptionRow.event_types)
    return [(name, types) for name, types in session.execute(wanted.order_by(SubscriptionRow.name))]


def _event(change: RowChange, subscribers: list[tuple[str, list[str]]]) -> EventOut:
    values = {each.name: each.then for each in change.columns}
    return EventOut(
        type=values["type"],
        version=values["version"],
        subject=values.get("subject"),
        data=values["data"],
        subscriptions=[name for name, types in subscribers if values["type"] in types],
    )
