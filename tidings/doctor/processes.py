"""The relays and workers, by their heartbeats."""

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from events import heartbeat
from events.admin.queues import without_worker
from events.relay.listener import POLL_INTERVAL
from events.tables import SubscriptionRow
from tidings.doctor.findings import Finding, notice, ok, or_ok, problem


def check(session: Session) -> Iterator[Finding]:
    """Examine the relays and the workers."""
    yield from _relays(session)
    yield from _workers(session)


def served_queues(session: Session) -> set[str]:
    """Return the queues that have a worker."""
    workers = [each for each in heartbeat.alive(session) if each.kind == "worker"]
    return {queue for each in workers for queue in each.queues}


def _relays(session: Session) -> Iterator[Finding]:
    alive = heartbeat.live_relays(session)
    if not alive:
        yield problem(
            "relay",
            "no relay is running: orders are accepted but not handled",
            "start one: tidings relay",
        )
    for each in alive:
        if each.trouble:
            fix = "correct the cause; the relay then sends the backlog"
            yield problem("relay", f"{each.name} reports: {each.trouble}", fix)
        else:
            yield ok("relay", f"{each.name} is running")
        if each.deaf:
            yield notice(
                "relay",
                f"{each.name} hears no notifications of PostgreSQL and looks for events every "
                f"{POLL_INTERVAL:g} s: {each.deaf}",
            )
    for queue, trouble in heartbeat.queue_troubles(session).items():
        yield problem("relay", f"queue {queue} {trouble['reason']}", trouble["fix"])


def _workers(session: Session) -> Iterator[Finding]:
    queues = set(session.scalars(select(SubscriptionRow.queue)))
    missing = (
        problem("workers", f"queue {queue} has no worker", _fix(session, queue))
        for queue in without_worker(session)
    )
    yield from or_ok("workers", missing, f"all {len(queues)} queues have a worker")


def _fix(session: Session, queue: str) -> str:
    start = f"start one: celery -A tasks worker -Q {queue} -n {queue}@%h"
    workers = [each for each in heartbeat.alive(session) if each.kind == "worker"]
    if any(not each.queues for each in workers):
        add = f"celery -A tasks control add_consumer {queue}"
        return f"{start}; or, if its consumer was cancelled: {add}"
    return start
