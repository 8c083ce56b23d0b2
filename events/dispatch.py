"""Dispatch: what a worker does with the deliveries of one message. The one place where a handler is run.

The claim, the handler's effect and what it caused commit together. A batch that fails is rolled back and run again one by
one, so that only the failing delivery fails.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from events import clock, context, ledger, log
from events.database import is_transient, reading, transaction
from events.envelope import Envelope
from events.errors import UnknownEvent
from events.event import Event
from events.ledger import Failure
from events.retry import Decision, decide
from events.subscriptions import Subscription
from events.suspects import ISOLATE_AFTER_LOSSES
from events.tables import delivery_id

logger = structlog.get_logger("tidings.dispatch")

PATIENCE_WITH_DATABASE = 2.0  # seconds before a delivery that the database refused is sent again
PATIENCE_WITH_UNKNOWN = (
    60.0  # seconds before an event that this worker does not know is offered again
)


@dataclass
class Report:
    """What became of the deliveries of one message: counts, and the reason for the last failure, without personal data."""

    handled: int = 0
    duplicate: int = 0
    retrying: int = 0
    dead: int = 0
    wait: float = 0.0
    why: str = ""
    error: Exception | None = field(default=None, repr=False)  # its text may hold personal data

    def __str__(self) -> str:
        counts = {
            name: getattr(self, name) for name in ("handled", "duplicate", "retrying", "dead")
        }
        told = [
            name if count == 1 else f"{name} {count}" for name, count in counts.items() if count
        ]
        return ", ".join(told) + (f": {self.why}" if self.why else "")


def dispatch(
    subscription: Subscription, ids: Sequence[UUID], *, worker: str, suspect: bool = False
) -> Report:
    """Handle these deliveries, each at most once, and say what became of them.

    `suspect` says that the message came back from a worker that died; each delivery's start is then counted first.
    Raises only what the database raises when not even the failure could be written; the ledger then sends again.
    """
    report = Report()
    with reading() as session:
        in_flight = ledger.in_flight(session, subscription.name, ids)
    report.duplicate = len(ids) - len(in_flight)
    if any(each.paused for each in in_flight):
        return _release(
            subscription, [each.envelope.id for each in in_flight], report, wait=0.0, why="paused"
        )
    suspects = {
        each.envelope.id for each in in_flight if suspect or each.lost_count >= ISOLATE_AFTER_LOSSES
    }
    together = len(in_flight) > 1 and not subscription.call and not suspects
    if together and _run_batch(subscription, [each.envelope for each in in_flight], report):
        return report
    for each in in_flight:
        suspected = each.envelope.id in suspects
        _run_alone(
            subscription,
            each.envelope,
            report,
            worker,
            attempt=each.attempts + 1,
            suspect=suspected,
        )
    return report


def _run_batch(subscription: Subscription, envelopes: Sequence[Envelope], report: Report) -> bool:
    """All in one transaction; false if any failed, and then nothing has happened."""
    try:
        events = [(envelope, envelope.event()) for envelope in envelopes]
        with transaction() as session:
            claimed = ledger.claim(
                session, subscription.name, [envelope.id for envelope in envelopes]
            )
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
        return False
    report.handled += len(claimed)
    report.duplicate += len(envelopes) - len(claimed)
    return True


def _run_alone(
    subscription: Subscription,
    envelope: Envelope,
    report: Report,
    worker: str,
    *,
    attempt: int,
    suspect: bool,
) -> None:
    started_at, began = clock.now(), time.monotonic()
    try:
        if suspect and not _may_start(subscription, envelope, worker):
            report.dead += 1
            report.why = "crash loop"
            return
        done = _attempt(subscription, envelope)
    except UnknownEvent as error:
        report.error = error
        _release(subscription, [envelope.id], report, wait=PATIENCE_WITH_UNKNOWN, why=str(error))
    except Exception as error:
        report.error = error
        if is_transient(error):
            _release(
                subscription,
                [envelope.id],
                report,
                wait=PATIENCE_WITH_DATABASE,
                why=f"database: {type(error).__name__}",
            )
            return
        failure = Failure(error, worker, started_at, time.monotonic() - began)
        _record(subscription, envelope, failure, decide(subscription.retry, attempt, error), report)
    else:
        report.handled += done
        report.duplicate += not done


def _may_start(subscription: Subscription, envelope: Envelope, worker: str) -> bool:
    with context.acting(context.caused_by(envelope)), transaction() as session:
        return ledger.start(session, subscription.name, envelope.id, worker=worker)


def _attempt(subscription: Subscription, envelope: Envelope) -> bool:
    """One try; false if another worker was faster."""
    event = envelope.event()
    if subscription.call is None:
        answer: tuple[Any, ...] = ()
    else:
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
        outcome = subscription.handler(event, session, *answer)
        session.flush()
        if outcome is not None:
            log.publish(session, *([outcome] if isinstance(outcome, Event) else outcome))


def _record(
    subscription: Subscription,
    envelope: Envelope,
    failure: Failure,
    decision: Decision,
    report: Report,
) -> None:
    with context.acting(context.caused_by(envelope)), transaction() as session:
        ours = ledger.fail(session, subscription.name, envelope.id, failure, decision)
    if not ours:
        report.duplicate += 1
        return
    report.why = failure.fingerprint
    if decision.wait is None:
        report.dead += 1
        logger.error(
            "delivery.dead",
            delivery=delivery_id(envelope.id, subscription.name),
            error=failure.fingerprint,
        )
    else:
        report.retrying += 1
        report.wait = max(report.wait, decision.wait)
        logger.warning(
            "delivery.retry",
            delivery=delivery_id(envelope.id, subscription.name),
            error=failure.fingerprint,
            wait=decision.wait,
        )


def _release(
    subscription: Subscription, ids: Sequence[UUID], report: Report, *, wait: float, why: str
) -> Report:
    with transaction() as session:
        ledger.release(session, subscription.name, ids, wait=wait, why=why)
    logger.warning("delivery.released", subscription=subscription.name, count=len(ids), why=why)
    report.retrying += len(ids)
    report.wait, report.why = wait, why
    return report
