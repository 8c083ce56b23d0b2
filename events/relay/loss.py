"""Finding lost messages: which deliveries must have left their queue long ago and are still open.

A lease that merely runs out is no sign of loss: a delivery may wait an hour behind a hundred thousand others. So a mark is
kept for each queue: everything sent before it has left the queue, because the queue was seen empty at that moment, or
because something sent later is done already. What is still open a lease after it left is lost.
"""

from collections import defaultdict, deque
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from events import clock, ledger
from events.database import reading, transaction
from events.messages import Transport
from events.settings import settings
from events.tables import Delivery

logger = structlog.get_logger("tidings.loss")

SOME = 1000  # deliveries that are sent again in one transaction, so that nobody waits long for the database
MARGIN = timedelta(seconds=2)  # between marking a delivery sent and its message lying on the queue


class LostMessageDetector:
    """Remembers per queue what was known to have left it, and when that was learnt."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._marks: defaultdict[str, deque[tuple[datetime, datetime]]] = defaultdict(deque)

    def look(self) -> int:
        """Send again what is lost; returns how many deliveries that were. Raises `BrokerDown`."""
        with reading() as session:
            queues = set(
                session.scalars(select(Delivery.queue).where(*ledger.IS_IN_FLIGHT).distinct())
            )
            for queue in queues:
                self._mark(session, queue)
        for queue in self._marks.keys() - queues:
            del self._marks[queue]
        return sum(self._resend(queue) for queue in queues)

    def _mark(self, session: Session, queue: str) -> None:
        now = clock.now()
        left = now if self._transport.waiting(queue) == 0 else ledger.last_settled(session, queue)
        marks = self._marks[queue]
        if left is not None and (not marks or left > marks[-1][1]):
            marks.append((now, left))

    def _resend(self, queue: str) -> int:
        marks, lease = self._marks[queue], timedelta(seconds=settings().lease)
        before = None
        while marks and marks[0][0] <= clock.now() - lease:
            before = marks.popleft()[1]
        if before is None:
            return 0
        lost, some = 0, SOME
        while some == SOME:
            with transaction() as session:
                some = ledger.lose(
                    session,
                    and_(Delivery.queue == queue, Delivery.sent_at < before - MARGIN),
                    limit=SOME,
                )
            lost += some
        if lost:
            logger.warning("deliveries.lost", queue=queue, count=lost, note="sending them again")
        return lost
