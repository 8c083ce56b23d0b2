"""The trace of one subject: its events, their deliveries, and each failed attempt."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import log
from events.admin.subscriptions import policy_of
from events.envelope import Envelope
from events.replays import history
from events.replays.tables import ReplayedDelivery
from events.retry import Retry
from events.tables import Attempt, Delivery, SubscriptionRow


@dataclass(frozen=True)
class TracedDelivery:
    """One delivery of one event, with its failed attempts."""

    id: str
    subscription: str
    queue: str
    state: str
    attempts: int
    max_attempts: int | None  # none while "not now" is retried, which has a limit of time
    gives_up_at: datetime | None
    due_at: datetime
    sent_at: datetime | None
    done_at: datetime | None
    died_at: datetime | None
    error: str | None
    flower_task_id: str | None
    failed_attempts: list[Attempt] = field(default_factory=list)
    replays: list[ReplayedDelivery] = field(default_factory=list)


@dataclass(frozen=True)
class TracedEvent:
    """One event and its deliveries."""

    envelope: Envelope
    deliveries: list[TracedDelivery]


def of(session: Session, subject: str) -> list[TracedEvent]:
    """Return every event about `subject` with its deliveries, oldest first."""
    return _traced(session, log.about(session, subject))


def of_event(session: Session, event_id: UUID) -> TracedEvent | None:
    """Return one event with its deliveries, or `None` when there is no such event."""
    return next(iter(_traced(session, log.read(session, [event_id]))), None)


def _traced(session: Session, envelopes: Sequence[Envelope]) -> list[TracedEvent]:
    ids = [envelope.id for envelope in envelopes]
    policies = {row.name: policy_of(row.policy) for row in session.scalars(select(SubscriptionRow))}
    failed: defaultdict[tuple[UUID, str], list[Attempt]] = defaultdict(list)
    for attempt in session.scalars(
        select(Attempt).where(Attempt.event_id.in_(ids)).order_by(Attempt.id)
    ):
        failed[attempt.event_id, attempt.subscription].append(attempt)
    replays = history.of_events(session, ids)
    deliveries: defaultdict[UUID, list[TracedDelivery]] = defaultdict(list)
    for row in session.scalars(
        select(Delivery).where(Delivery.event_id.in_(ids)).order_by(Delivery.subscription)
    ):
        policy = policies.get(row.subscription, Retry())
        deliveries[row.event_id].append(
            _delivery(row, policy, failed[key := (row.event_id, row.subscription)], replays[key])
        )
    return [TracedEvent(envelope, deliveries[envelope.id]) for envelope in envelopes]


def _delivery(
    row: Delivery, policy: Retry, failed: list[Attempt], replays: list[ReplayedDelivery]
) -> TracedDelivery:
    until = timedelta(seconds=policy.give_up_after)
    return TracedDelivery(
        id=row.id,
        subscription=row.subscription,
        queue=row.queue,
        state=row.state,
        attempts=row.attempts,
        max_attempts=None if row.not_now else policy.attempts,
        gives_up_at=row.failing_since + until if row.not_now and row.failing_since else None,
        due_at=row.due_at,
        sent_at=row.sent_at,
        done_at=row.done_at,
        died_at=row.died_at,
        error=row.error,
        flower_task_id=row.message,
        failed_attempts=failed,
        replays=replays,
    )
