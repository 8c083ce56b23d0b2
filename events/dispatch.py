"""Dispatch: what a worker does with the deliveries of one task message. Handlers run here only.

The claim, the handler's effect and the events it caused commit together. A batch that fails is
rolled back and run again one by one, so that only the failing delivery fails.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from events import clock, context, ledger, log, suspects
from events.attempts import Failure
from events.database import reading, transaction
from events.db_errors import is_transient
from events.envelope import Envelope
from events.errors import UnknownEvent
from events.event import Event
from events.inbox import InFlight, in_flight
from events.retry import decide
from events.subscriptions import Subscription
from events.tables import delivery_id

logger = structlog.get_logger("tidings.dispatch")

DATABASE_RETRY_DELAY = 2.0  # seconds until a delivery is sent again that the database refused
UNKNOWN_EVENT_DELAY = 60.0  # seconds until an event is offered again that this worker does not know


class Result(StrEnum):
    """The result of one delivery in one message."""

    HANDLED = "handled"
    DUPLICATE = "duplicate"  # settled before, or another worker was faster
    RETRYING = "retrying"
    DEAD = "dead"


@dataclass(frozen=True)
class Outcome:
    """One delivery's result.

    `wait` is the time in seconds until it is sent again; `reason` holds no personal data.
    """

    result: Result
    wait: float = 0.0
    reason: str = ""
    error: BaseException | None = field(default=None, repr=False)  # it may hold personal data


@dataclass(frozen=True)
class Report:
    """The outcomes of one message's deliveries."""

    outcomes: Sequence[Outcome]

    def count(self, result: Result) -> int:
        """Return the number of deliveries with this result."""
        return sum(each.result == result for each in self.outcomes)

    @property
    def wait(self) -> float:
        """Seconds until the last of them is sent again."""
        return max((each.wait for each in self.outcomes), default=0.0)

    @property
    def error(self) -> BaseException | None:
        """The first error that a handler raised."""
        return next((each.error for each in self.outcomes if each.error), None)

    def __str__(self) -> str:
        counts = Counter(each.result for each in self.outcomes)
        parts = [
            f"{each} {counts[each]}" if counts[each] > 1 else each
            for each in Result
            if counts[each]
        ]
        reason = next((each.reason for each in reversed(self.outcomes) if each.reason), "")
        return ", ".join(parts) + (f": {reason}" if reason else "")


def dispatch(
    subscription: Subscription, ids: Sequence[UUID], *, worker: str, suspect: bool = False
) -> Report:
    """Handle these deliveries, each at most once, and report their outcomes.

    `suspect` says that the message came back from a worker that died; each delivery's start is
    then counted first. Raises only database errors, when not even a failure could be written; the
    relay then sends again.
    """
    with reading() as session:
        found = in_flight(session, subscription.name, ids)
    duplicates = [Outcome(Result.DUPLICATE)] * (len(ids) - len(found))
    if any(each.paused for each in found):
        return Report([*duplicates, *_release(subscription, found, wait=0.0, reason="paused")])
    isolated = {
        each.envelope.id for each in found if suspect or suspects.is_suspect(each.lost_count)
    }
    if len(found) > 1 and not subscription.call and not isolated:
        batch = _run_batch(subscription, [each.envelope for each in found])
        if batch is not None:
            return Report([*duplicates, *batch])
    alone = [_run_alone(subscription, each, worker, each.envelope.id in isolated) for each in found]
    return Report([*duplicates, *alone])


def _run_batch(subscription: Subscription, envelopes: Sequence[Envelope]) -> list[Outcome] | None:
    """Handle all in one transaction; `None` if any failed, and then nothing has happened."""
    try:
        events = [(envelope, envelope.event()) for envelope in envelopes]
        with transaction() as session:
            claimed = ledger.claim(session, subscription.name, [each.id for each in envelopes])
            for envelope, event in events:
                if envelope.id in claimed:
                    _handle(subscription, envelope, session, event)
    except Exception as error:
        logger.info(
            "batch.split",
            subscription=subscription.name,
            size=len(envelopes),
            error=type(error).__name__,
        )
        return None
    return [
        Outcome(Result.HANDLED if each.id in claimed else Result.DUPLICATE) for each in envelopes
    ]


def _run_alone(
    subscription: Subscription, delivery: InFlight, worker: str, isolated: bool
) -> Outcome:
    envelope, started_at, began = delivery.envelope, clock.now(), time.monotonic()
    try:
        if isolated and not _record_start(subscription, envelope, worker):
            return Outcome(Result.DEAD, reason="crash loop")
        done = _attempt(subscription, envelope)
    except UnknownEvent as error:
        return _release(subscription, [delivery], wait=UNKNOWN_EVENT_DELAY, reason=str(error))[0]
    except Exception as error:
        if is_transient(error):
            reason = f"database: {type(error).__name__}"
            return _release(subscription, [delivery], wait=DATABASE_RETRY_DELAY, reason=reason)[0]
        failure = Failure(error, worker, started_at, time.monotonic() - began)
        return _record_failure(subscription, delivery, failure)
    return Outcome(Result.HANDLED if done else Result.DUPLICATE)


def _record_start(subscription: Subscription, envelope: Envelope, worker: str) -> bool:
    with context.acting(context.caused_by(envelope)), transaction() as session:
        return suspects.record_start(session, subscription.name, envelope.id, worker=worker)


def _attempt(subscription: Subscription, envelope: Envelope) -> bool:
    """Run the call and the handler once; false if another worker was faster."""
    event = envelope.event()
    answer: tuple[Any, ...] = ()
    if subscription.call is not None:
        with context.acting(context.caused_by(envelope)):
            answer = (subscription.call(event, delivery_id(envelope.id, subscription.name)),)
    with transaction() as session:
        claimed = ledger.claim(session, subscription.name, [envelope.id])
        if claimed:
            _handle(subscription, envelope, session, event, *answer)
    return bool(claimed)


def _handle(
    subscription: Subscription, envelope: Envelope, session: Session, event: Event, *answer: Any
) -> None:
    with context.acting(context.caused_by(envelope)):
        caused = subscription.handler(event, session, *answer)
        session.flush()
        if caused is not None:
            log.publish(session, *([caused] if isinstance(caused, Event) else caused))


def _record_failure(subscription: Subscription, delivery: InFlight, failure: Failure) -> Outcome:
    envelope = delivery.envelope
    decision = decide(subscription.retry, delivery.attempts + 1, failure.error)
    with context.acting(context.caused_by(envelope)), transaction() as session:
        ours = ledger.fail(session, subscription.name, envelope.id, failure, decision)
    if not ours:
        return Outcome(Result.DUPLICATE)
    facts = {"delivery": delivery_id(envelope.id, subscription.name), "error": failure.fingerprint}
    if decision.wait is None:
        logger.error("delivery.dead", **facts)
        return Outcome(Result.DEAD, reason=failure.fingerprint, error=failure.error)
    logger.warning("delivery.retry", **facts, wait=decision.wait)
    return Outcome(Result.RETRYING, decision.wait, failure.fingerprint, failure.error)


def _release(
    subscription: Subscription, deliveries: Sequence[InFlight], *, wait: float, reason: str
) -> list[Outcome]:
    ids = [each.envelope.id for each in deliveries]
    with transaction() as session:
        ledger.release(session, subscription.name, ids, wait=wait, reason=reason)
    logger.warning(
        "delivery.released", subscription=subscription.name, count=len(ids), reason=reason
    )
    return [Outcome(Result.RETRYING, wait, reason)] * len(ids)
