"""The fate of deliveries that were not handled: they have failed, or are given back unharmed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import structlog
from sqlalchemy.orm import Session

from events import attempts, breakers, context, ledger, newer_code
from events.attempts import Failure
from events.breakers import Effect
from events.database import transaction
from events.db_errors import is_transient
from events.errors import CallNotMade, UnknownEvent
from events.inbox import InFlight
from events.outcome import Outcome, Result
from events.subscriptions import Subscription
from events.tables import delivery_id

logger = structlog.get_logger("tidings.dispatch")

DATABASE_RETRY_DELAY = 2.0  # seconds until a delivery is sent again that the database refused
BREAKER_OPEN = "its dependency is unavailable"


def settle(subscription: Subscription, delivery: InFlight, failure: Failure) -> Outcome:
    """Record a failure, or give the delivery back if it is not the handler's."""
    error = failure.error
    if isinstance(error, UnknownEvent):
        wait = newer_code.wait(delivery.envelope.time)
        return _release_one(subscription, delivery, wait, str(error))
    if isinstance(error, CallNotMade):
        return _release_one(subscription, delivery, 0.0, str(error))
    if is_transient(error):
        reason = f"database: {type(error).__name__}"
        return _release_one(subscription, delivery, DATABASE_RETRY_DELAY, reason)
    with context.acting(context.caused_by(delivery.envelope)), transaction() as session:
        return _settle(session, subscription, delivery, failure)


def _settle(
    session: Session, subscription: Subscription, delivery: InFlight, failure: Failure
) -> Outcome:
    name, event_id = subscription.name, delivery.envelope.id
    key, effect = delivery_id(event_id, name), Effect.NONE
    dependency = subscription.depends_on
    if dependency is not None and breakers.is_unavailable(failure.error):
        failure = replace(failure, dependency=dependency)
        failed_at = attempts.latest_end(session, name, event_id) if delivery.attempts else None
        effect = breakers.note_unavailable(session, dependency, key, failure, failed_at=failed_at)
    elif dependency is not None:
        breakers.note_answered(dependency)
        end_probe(session, subscription, [delivery])
    if effect == Effect.WAITS:
        reason = f"{dependency} is unavailable"
        ledger.release(session, name, [event_id], wait=0.0, reason=reason)
        return Outcome(Result.RETRYING, reason=reason, error=failure.error, breaker_open=True)
    decision = delivery.decide(subscription.retry, failure.error)
    if not ledger.fail(session, name, event_id, failure, decision):
        return Outcome(Result.DUPLICATE)
    facts = {"delivery": key, "error": failure.fingerprint}
    opened = effect == Effect.OPENED
    if decision.wait is None:
        logger.error("delivery.dead", **facts)
        return Outcome(Result.DEAD, 0.0, failure.fingerprint, failure.error, opened)
    logger.warning("delivery.retry", **facts, wait=decision.wait)
    return Outcome(Result.RETRYING, decision.wait, failure.fingerprint, failure.error, opened)


def end_probe(session: Session, subscription: Subscription, deliveries: Sequence[InFlight]) -> None:
    """Close the breaker if one of these deliveries is its probe: the dependency answered it."""
    for each in deliveries:
        if each.is_probe and subscription.depends_on is not None:
            key = delivery_id(each.envelope.id, subscription.name)
            breakers.note_probe_answered(session, subscription.depends_on, key)


def release(
    subscription: Subscription, deliveries: Sequence[InFlight], *, wait: float, reason: str
) -> list[Outcome]:
    """Give deliveries back unharmed, to be sent again in `wait` seconds."""
    ids = [each.envelope.id for each in deliveries]
    with transaction() as session:
        for each in deliveries:
            if each.is_probe and subscription.depends_on is not None:
                key = delivery_id(each.envelope.id, subscription.name)
                breakers.forget_probe(session, subscription.depends_on, key)
        ledger.release(session, subscription.name, ids, wait=wait, reason=reason)
    facts = {"subscription": subscription.name, "count": len(ids), "reason": reason}
    logger.warning("delivery.released", **facts)
    return [Outcome(Result.RETRYING, wait, reason)] * len(ids)


def release_waiting(
    subscription: Subscription, found: list[InFlight]
) -> tuple[list[InFlight], list[Outcome]]:
    """Give back what waits for its dependency or for newer code; return the rest first."""
    outcomes = []
    if waiting := [each for each in found if each.waits]:
        outcomes += release(subscription, waiting, wait=0.0, reason=BREAKER_OPEN)
        found = [each for each in found if not each.waits]
    if unknown := [each for each in found if not _is_known(subscription, each)]:
        outcomes += _release_unknown(subscription, unknown)
        found = [each for each in found if _is_known(subscription, each)]
    return found, outcomes


def _is_known(subscription: Subscription, delivery: InFlight) -> bool:
    return subscription.knows(delivery.envelope.type, delivery.envelope.version)


def _release_unknown(subscription: Subscription, deliveries: Sequence[InFlight]) -> list[Outcome]:
    """Give back deliveries whose event this process does not know, to wait for one that does."""
    by_type: defaultdict[tuple[str, int], list[InFlight]] = defaultdict(list)
    for each in deliveries:
        by_type[each.envelope.type, each.envelope.version].append(each)
    outcomes = []
    for alike in by_type.values():
        latest = alike[-1].envelope
        wait, reason = newer_code.wait(latest.time), newer_code.reason(subscription, latest)
        outcomes += release(subscription, alike, wait=wait, reason=reason)
    return outcomes


def _release_one(
    subscription: Subscription, delivery: InFlight, wait: float, reason: str
) -> Outcome:
    return release(subscription, [delivery], wait=wait, reason=reason)[0]
