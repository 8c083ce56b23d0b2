"""Canaries of fixes: one dead letter of a group, replayed once workers run the version of its fix.

The relay looks for groups that are fixed in a version of which no canary was started. A canary
waits until every live worker of the queue has the version, because an older one could get it.
"""

from collections import defaultdict
from collections.abc import Collection

import structlog
from packaging.version import InvalidVersion, Version
from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from events import clock, heartbeat
from events.admin import replays
from events.admin.triage import FixCanary, GroupTriage
from events.database import reading, transaction
from events.errors import AlreadyReplaying, NothingToReplay, UnknownDelivery
from events.ledger import IS_DEAD
from events.tables import Delivery, SubscriptionRow, delivery_id

logger = structlog.get_logger("tidings.fixes")

WHO = "fix canary"  # the name under which its replays are audited

_HAS_CANARY = exists().where(
    FixCanary.subscription == GroupTriage.subscription,
    FixCanary.fingerprint == GroupTriage.fingerprint,
    FixCanary.version == GroupTriage.version,
)


def start_due() -> int:
    """Start the canaries that are due, each in a transaction of its own; return their number."""
    with reading() as session:  # to look is cheap; the write lock is not
        ready = _ready(session)
    started = 0
    for row_id in ready:
        try:
            started += _start(row_id)
        except (AlreadyReplaying, NothingToReplay, UnknownDelivery):
            continue  # somebody replays or discards the dead letter; the next look decides
    return started


def has_fix(running: str, fixed_in: str) -> bool:
    """Tell whether a running version has what is fixed in another: it is the same or a later one.

    Versions that do not follow PEP 440, such as the hash of a commit, must be equal.
    """
    try:
        return Version(running) >= Version(fixed_in)
    except InvalidVersion:
        return running == fixed_in


def _ready(session: Session) -> list[int]:
    named = SubscriptionRow.name == GroupTriage.subscription
    found = select(GroupTriage, SubscriptionRow.queue).join(SubscriptionRow, named)
    rows = session.execute(found.where(GroupTriage.state == "fixed", ~_HAS_CANARY)).all()
    if not rows:
        return []
    running = _running(session)
    return [
        row.id
        for row, queue in rows
        if _all_have(running.get(queue, ()), row.version) and _oldest(session, row)
    ]


def _running(session: Session) -> dict[str, list[str]]:
    """Return the versions of the live workers of each queue."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for worker in heartbeat.alive(session):
        for queue in worker.queues:
            found[queue].append(worker.version)
    return found


def _all_have(running: Collection[str], fixed_in: str) -> bool:
    return bool(running) and all(has_fix(each, fixed_in) for each in running)


def _oldest(session: Session, row: GroupTriage) -> str | None:
    """Return the id of the group's oldest dead letter; none if the group has regressed."""
    theirs = (Delivery.subscription == row.subscription, Delivery.fingerprint == row.fingerprint)
    latest = session.scalar(select(func.max(Delivery.died_at)).where(IS_DEAD, *theirs))
    if latest is None or row.settled_at is None or latest > row.settled_at:
        return None
    oldest = select(Delivery.event_id).where(IS_DEAD, *theirs).order_by(Delivery.died_at)
    event_id = session.scalar(oldest.limit(1))
    return delivery_id(event_id, row.subscription) if event_id else None


def _start(row_id: int) -> bool:
    """Start one canary, unless another relay was faster or a person changed the group."""
    with transaction() as session:
        row = session.get(GroupTriage, row_id, with_for_update=True)
        if row is None or row.state != "fixed":
            return False
        key = (row.subscription, row.fingerprint, row.version)
        oldest = None if session.get(FixCanary, key) else _oldest(session, row)
        if oldest is None:
            return False
        why = f"the workers run {row.version}, in which it is fixed"
        job = replays.start(session, who=WHO, why=why, ids=[oldest])
        session.add(FixCanary(**_named(row), replay_id=job.id, started_at=clock.now()))
        logger.info("fix.canary_started", **_named(row), replay=job.id)
        return True


def _named(row: GroupTriage) -> dict[str, str]:
    return {name: getattr(row, name) for name in ("subscription", "fingerprint", "version")}
