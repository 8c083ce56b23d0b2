"""Deliveries that need code which this process does not have: they wait for a worker that has it.

A rolling upgrade lets two versions consume one queue, and the broker gives a message to either.

What a worker receives                        What follows
────────────────────────────────────────────  ────────────────────────────────────────────────────
an event of a newer version or unknown type   given back, no attempt counted
an event with fields that newer code added    given back, no attempt counted
an event type that newer code subscribed to   given back, no attempt counted
a subscription that only others registered    given back, no attempt counted
a subscription that nobody registered         quarantined: no worker will ever know it

A delivery that is given back is offered again after seconds, and as it grows older once a minute,
until a worker has the code or a person discards it.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import func, select

from events import breakers, clock, ledger
from events.database import transaction
from events.envelope import Envelope
from events.errors import UnknownEvent
from events.event import newest
from events.subscriptions import Subscription
from events.tables import EVENTS, SubscriptionRow, delivery_id

logger = structlog.get_logger("tidings.dispatch")

FIRST_WAIT = 2.0  # seconds; the worker beside this one may have the code
MAX_WAIT = 60.0  # seconds; it waits for a deployment


def wait(event_time: datetime) -> float:
    """Return the seconds until a delivery is offered again: a tenth of the age of its event."""
    age = (clock.now() - event_time).total_seconds()
    return min(MAX_WAIT, max(FIRST_WAIT, age / 10))


def reason(subscription: Subscription, envelope: Envelope) -> str:
    """Return the reason why this process cannot give an event to the subscription's handler."""
    if envelope.type in subscription.event_types:
        return str(UnknownEvent(envelope.type, envelope.version, newest(envelope.type)))
    return (
        f"{subscription.name} does not take {envelope.type} in this process; "
        "deploy code in which it does, and the delivery goes on"
    )


def release(name: str, event_ids: Sequence[UUID]) -> bool:
    """Give back the deliveries of a subscription that this process does not have.

    Return false, and change nothing, if no other process registered it either.
    """
    with transaction() as session:
        row = session.get(SubscriptionRow, name)
        if row is None:
            return False
        if row.depends_on is not None:
            for event_id in event_ids:
                breakers.forget_probe(session, row.depends_on, delivery_id(event_id, name))
        latest = session.scalar(select(func.max(EVENTS.c.time)).where(EVENTS.c.id.in_(event_ids)))
        why = f"a worker has no {name}; deploy code that does, and the delivery goes on"
        seconds = wait(latest or clock.now())
        ledger.release(session, name, event_ids, wait=seconds, reason=why)
    facts = {"subscription": name, "count": len(event_ids), "wait": seconds}
    logger.warning("delivery.released", **facts, reason=why)
    return True
