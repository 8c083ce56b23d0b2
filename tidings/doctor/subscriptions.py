"""The subscriptions: registered by the code, known to the workers, paused by an operator."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import clock
from events.subscriptions import registered
from events.tables import SubscriptionRow
from tidings.doctor.findings import Finding, notice, or_ok, problem
from tidings.doctor.processes import served_queues

# A worker updates `last_seen` of its subscriptions with each heartbeat.
UNKNOWN_AFTER = timedelta(minutes=1)


def check(session: Session) -> Iterator[Finding]:
    """Find subscriptions without code, code without a subscription, and paused subscriptions."""
    rows = session.scalars(select(SubscriptionRow).order_by(SubscriptionRow.name)).all()
    yield from or_ok(
        "subscriptions",
        [*_unknown_to_workers(session, rows), *_unregistered(rows)],
        f"{len(rows)} are registered and known to the workers",
    )
    yield from _paused(rows)


def _unknown_to_workers(session: Session, rows: Sequence[SubscriptionRow]) -> Iterator[Finding]:
    served, limit = served_queues(session), clock.now() - UNKNOWN_AFTER
    for row in rows:
        if row.queue in served and row.last_seen < limit:
            yield problem(
                "subscriptions",
                f"the workers of {row.queue} do not know {row.name}, so its deliveries wait",
                f"deploy its code to the workers of {row.queue}, or, if the code was removed: "
                f"tidings subscriptions remove {row.name} --why REASON",
            )


def _unregistered(rows: Sequence[SubscriptionRow]) -> Iterator[Finding]:
    in_code = {
        name for name, each in registered().items() if each.handler.__module__.startswith("tasks.")
    }
    if missing := sorted(in_code - {row.name for row in rows}):
        yield problem(
            "subscriptions",
            f"not registered, so they receive no events: {', '.join(missing)}",
            "run `tidings migrate`",
        )


def _paused(rows: Sequence[SubscriptionRow]) -> Iterator[Finding]:
    for row in rows:
        if row.paused_at is not None:
            since = f"{row.paused_at:%Y-%m-%d %H:%M} UTC"
            reason = row.paused_why or "no reason given"
            yield notice(
                "subscriptions",
                f"{row.name} is paused by {row.paused_by} since {since}: {reason}",
                f"when the reason has passed: tidings resume {row.name} --why REASON",
            )
