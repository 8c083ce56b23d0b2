"""Finding lost messages: which deliveries must have left their queue long ago and are still open.

A lease that merely expires is no sign of loss: a delivery may wait an hour behind a hundred
thousand others. So a mark is kept for each queue: everything sent before it has left the queue,
because the queue was empty at that moment, or because a delivery sent later is done already. A
delivery is lost that is still open a lease after its message left.
"""

from collections import defaultdict, deque
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from events import clock, suspects
from events.database import reading, transaction
from events.ledger import IS_DONE, IS_IN_FLIGHT
from events.messages import Transport
from events.settings import settings
from events.tables import Delivery

logger = structlog.get_logger("tidings.loss")

RESEND_BATCH = 1000  # deliveries in one transaction, so that nobody waits long for the database
SEND_MARGIN = timedelta(seconds=2)  # between a delivery's mark as sent and its message's arrival


class LostMessageDetector:
    """Remembers for each queue what was known to have left it, and when that was learnt."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._marks: defaultdict[str, deque[tuple[datetime, datetime]]] = defaultdict(deque)

    def check(self) -> int:
        """Send lost deliveries again; return their number. Raises `BrokerDown`."""
        with reading() as session:
            queues = set(session.scalars(select(Delivery.queue).where(IS_IN_FLIGHT).distinct()))
            for queue in queues:
                self._mark(session, queue)
        for queue in self._marks.keys() - queues:
            del self._marks[queue]
        return sum(self._resend(queue) for queue in queues)

    def _mark(self, session: Session, queue: str) -> None:
        now = clock.now()
        left = now if self._transport.waiting(queue) == 0 else last_settled(session, queue)
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
        gone = and_(Delivery.queue == queue, Delivery.sent_at < before - SEND_MARGIN)
        lost, found = 0, RESEND_BATCH
        while found == RESEND_BATCH:
            with transaction() as session:
                found = suspects.mark_lost(session, gone, limit=RESEND_BATCH)
            lost += found
        if lost:
            logger.warning("deliveries.lost", queue=queue, count=lost, note="sending them again")
        return lost


def last_settled(session: Session, queue: str) -> datetime | None:
    """Return when the latest-sent done delivery of the queue was sent.

    Everything sent before it has left the queue too. Only a delivery that was sent once tells: of
    one sent again, the first message may have been handled while the second still waits behind
    thousands.
    """
    sent_once = and_(Delivery.queue == queue, IS_DONE, Delivery.sends == 1)
    return session.scalar(select(func.max(Delivery.sent_at)).where(sent_once))
