"""A clock that goes back: a retry or a probe must not wait for as long as the clock was ahead.

All processes follow the database's clock. The relay notices in its next round when that was set
back, and moves the due times that lie ahead by as much. Of several relays each does so: then a
delivery is due too early, and not too late.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select

from events import clock, ledger
from events.database import reading, relaxed
from events.ledger import IS_TO_SEND
from events.relay import probes
from events.tables import DELIVERIES

logger = structlog.get_logger("tidings.relay")

MIN_STEP = timedelta(seconds=5)  # what is shorter delays nothing that anybody notices
BATCH = 1000  # deliveries in one transaction, so that nobody waits long for the database

_D = DELIVERIES.c


class ClockSteps:
    """The latest time that this relay has seen, and how far the clock has gone back since."""

    def __init__(self) -> None:
        self._latest: datetime | None = None

    def check(self) -> int:
        """Move the due times if the clock has gone back; return the number of deliveries."""
        now, latest = clock.now(), self._latest
        if clock.was_set():  # only this machine's; the next connection measures it again
            return 0
        moved = 0
        if latest is not None and latest - now > MIN_STEP:
            with relaxed() as session:
                probes.move_probes(session, latest - now)
            moved = _move(now, latest - now)
            seconds = round((latest - now).total_seconds())
            logger.warning("clock.went_back", seconds=seconds, deliveries=moved)
        self._latest = now
        return moved


def _move(now: datetime, step: timedelta) -> int:
    ahead = select(_D.subscription, _D.event_id, _D.due_at).where(IS_TO_SEND, _D.due_at > now)
    with reading() as session:
        rows: Sequence[Any] = session.execute(ahead).all()
    for start in range(0, len(rows), BATCH):
        due = defaultdict(list)
        for row in rows[start : start + BATCH]:
            due[row.subscription, max(now, row.due_at - step)].append(row.event_id)
        with relaxed() as session:
            for (subscription, due_at), ids in due.items():
                ledger.defer(session, subscription, ids, due_at)
    return len(rows)
