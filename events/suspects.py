"""The rule for deliveries whose worker died: what makes a suspect, and when it is isolated."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from events import clock
from events.tables import IS_OPEN, Delivery

ISOLATE_AFTER_LOSSES = 2
SUSPECT_RETRY_DELAY = 2.0  # seconds


def hold_back_suspects(session: Session, subscription: str, due: Sequence[Any]) -> list[UUID]:
    """Return the rows to send now; defer every started suspect but the first by `SUSPECT_RETRY_DELAY`."""
    suspects = [row for row in due if row.unfinished_starts]
    if not suspects:
        return [row.event_id for row in due]
    out = exists().where(
        Delivery.queue == suspects[0].queue,
        IS_OPEN,
        Delivery.sent_at.is_not(None),
        Delivery.unfinished_starts > 0,
    )
    held = {row.event_id for row in suspects[0 if session.scalar(select(out)) else 1 :]}
    later = {"due_at": clock.now() + timedelta(seconds=SUSPECT_RETRY_DELAY)}
    session.execute(
        update(Delivery)
        .where(Delivery.subscription == subscription, Delivery.event_id.in_(held))
        .values(later)
    )
    return [row.event_id for row in due if row.event_id not in held]
