"""Finding lost messages: which deliveries must have left their queue long ago and are still open.

A lease that merely expires is no sign of loss: a delivery may wait an hour behind others. So a mark
is kept for each queue: everything sent before it has left the queue, because the queue was empty at
that moment, or because a delivery sent later is done already. A delivery is lost that is still open
a lease after its message left.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import and_, not_, select
from sqlalchemy.orm import Session

from events import clock, suspects
from events.database import reading, relaxed
from events.errors import QueueUnavailable
from events.ledger import IS_IN_FLIGHT, State
from events.messages import Transport
from events.settings import settings
from events.tables import Delivery

logger = structlog.get_logger("tidings.loss")

RESEND_BATCH = 1000  # deliveries in one transaction, so that nobody waits long for the database
MAX_PROBES = 8  # of one queue
SEND_MARGIN = timedelta(seconds=2)  # between a delivery's mark as sent and its message's arrival
Probe = tuple[UUID, str, datetime]


def _no_probes() -> deque[Probe]:
    return deque(maxlen=MAX_PROBES)


class LostMessageDetector:
    """Remembers for each queue what was known to have left it, and when that was learnt.

    A probe is the latest-sent delivery of a queue at some check: when it is done, everything sent
    before it has left. Only a delivery that was sent once serves: of one sent again, the first
    message may have been handled while the second still waits. Another probe is taken each lease,
    because one whose own message is lost tells nothing.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.unavailable: dict[str, QueueUnavailable] = {}  # at the last check
        self._marks: defaultdict[str, deque[tuple[datetime, datetime]]] = defaultdict(deque)
        self._probes: defaultdict[str, deque[Probe]] = defaultdict(_no_probes)
        self._checked_at: datetime | None = None

    def check(self) -> int:
        """Send lost deliveries again; return their number. Raises `BrokerDown`.

        A queue that cannot be asked about is in `unavailable` and holds up no other: of it the
        probes alone tell what has left. When the clock has gone back, all of it is learnt anew.
        """
        if self._checked_at is not None and clock.now() < self._checked_at - SEND_MARGIN:
            self._marks.clear()
            self._probes.clear()
        self._checked_at = clock.now()
        with reading() as session:
            queues = set(session.scalars(select(Delivery.queue).where(IS_IN_FLIGHT).distinct()))
        asked = self._ask_broker(queues)
        with reading() as session:
            for queue, (now, empty) in asked.items():
                self._mark(queue, now, now if empty else self._probe(session, queue))
        for queue in self._marks.keys() - queues:
            del self._marks[queue]
        return sum(self._resend(queue) for queue in queues)

    def _ask_broker(self, queues: Iterable[str]) -> dict[str, tuple[datetime, bool]]:
        """Return for each queue whether it was empty, and the time before the question."""
        asked, self.unavailable = {}, {}
        for queue in sorted(queues):
            now, waiting = clock.now(), None
            try:
                waiting = self._transport.waiting(queue)
            except QueueUnavailable as error:
                self.unavailable[queue] = error
            asked[queue] = (now, waiting == 0)
        return asked

    def _mark(self, queue: str, now: datetime, left: datetime | None) -> None:
        marks = self._marks[queue]
        if left is not None and (not marks or left > marks[-1][1]):
            marks.append((now, left))

    def _probe(self, session: Session, queue: str) -> datetime | None:
        """Return when the latest probe that is done was sent; take another one each lease."""
        probes, left = self._probes[queue], None
        for probe in list(probes):
            row = session.get(Delivery, probe[:2])
            if row is not None and row.state == State.DONE and row.sends == 1:
                left = probe[2]
            elif row is not None and row.sent_at == probe[2]:
                continue  # still in flight
            probes.remove(probe)
        if not probes or probes[-1][2] < clock.now() - timedelta(seconds=settings().lease):
            self._take_probe(session, queue)
        return left

    def _take_probe(self, session: Session, queue: str) -> None:
        latest = (
            select(Delivery.event_id, Delivery.subscription, Delivery.sent_at)
            .where(Delivery.queue == queue, IS_IN_FLIGHT, Delivery.sends == 1)
            .where(Delivery.sent_at <= clock.now())  # or it is from before the clock went back
            .order_by(Delivery.sent_at.desc())
            .limit(1)
        )
        for event_id, subscription, sent_at in session.execute(latest):
            assert sent_at is not None
            if (probe := (event_id, subscription, sent_at)) not in self._probes[queue]:
                self._probes[queue].append(probe)

    def _resend(self, queue: str) -> int:
        marks, lease = self._marks[queue], timedelta(seconds=settings().lease)
        before = None
        while marks and marks[0][0] <= clock.now() - lease:
            before = marks.popleft()[1]
        if before is None:
            return 0
        # What was sent in the future was sent before the clock went back.
        early, late = before - SEND_MARGIN, clock.now() + SEND_MARGIN
        gone = and_(Delivery.queue == queue, not_(Delivery.sent_at.between(early, late)))
        lost, found = 0, RESEND_BATCH
        while found == RESEND_BATCH:
            with relaxed() as session:
                found = suspects.mark_lost(session, gone, limit=RESEND_BATCH)
            lost += found
        if lost:
            logger.warning("deliveries.lost", queue=queue, count=lost, note="sending them again")
        return lost
