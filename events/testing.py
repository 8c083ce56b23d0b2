"""The bus in one process, for tests and small programs: the real log, fan-out and dispatch, with a list for a broker."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from types import TracebackType

from sqlalchemy import select

from events import clock, log
from events.admin import subscriptions as admin
from events.database import Database, database, reading, transaction, use
from events.dispatch import dispatch
from events.event import Event
from events.messages import Message
from events.orm import Base
from events.outcome import Report
from events.relay.round import Round, do_round
from events.subscriptions import Subscription, registered
from events.tables import Delivery, LogEntry


class Bus:
    """A bus whose broker is a list and whose clock the test moves.

    Uses this process's database, or `database` if given (tables are made when missing). `duplicate` rings every message
    twice; `shuffle` is the random source that mixes their order.
    """

    def __init__(
        self, database: Database | None = None, subscriptions: Iterable[Subscription] | None = None
    ) -> None:
        self._given = database
        self._subscriptions = (
            {each.name: each for each in subscriptions} if subscriptions is not None else None
        )
        self._now = clock.now()
        self.duplicate = False
        self.shuffle: random.Random | None = None
        self.reports: list[Report] = []
        self.in_flight: list[Message] = []

    def __enter__(self) -> "Bus":
        if self._given is not None:
            use(self._given)
        Base.metadata.create_all(database().writer)
        clock.follow(self.now)
        with transaction() as session:
            admin.register(session, self.subscriptions.values())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        clock.follow(None)
        if self._given is not None:
            use(None)

    @property
    def subscriptions(self) -> dict[str, Subscription]:
        """The subscriptions that hear."""
        return registered() if self._subscriptions is None else self._subscriptions

    def now(self) -> datetime:
        """The test's time: it goes on by a microsecond each time it is read, and otherwise by `advance`."""
        self._now += timedelta(microseconds=1)
        return self._now

    def publish(self, *events: Event, subject: str | None = None) -> None:
        """Publish in a transaction of its own."""
        with transaction() as session:
            log.publish(session, *events, subject=subject)

    def drain(self) -> None:
        """Handle all that is due, and what follows from it, until nothing is due. A failing handler does not raise here."""
        while (done := self._round()).events or done.messages:
            mine = [each for each in done.messages if each.subscription in self.subscriptions]
            self.in_flight += mine
            copies = [*mine, *mine] if self.duplicate else mine
            if self.shuffle:
                self.shuffle.shuffle(copies)
            for message in copies:
                subscription = self.subscriptions[message.subscription]
                self.reports.append(dispatch(subscription, message.event_ids, worker="test"))

    def _round(self) -> Round:
        with transaction() as session:
            return do_round(session, Counter())

    def advance(self, seconds: float) -> None:
        """Move the clock and handle what became due."""
        self._now += timedelta(seconds=seconds)
        self.drain()

    @property
    def published(self) -> list[Event]:
        """Every event of the log in its newest version, in order."""
        with reading() as session:
            return [
                log.envelope(row).event()
                for row in session.scalars(select(LogEntry).order_by(LogEntry.position))
            ]

    def deliveries(self) -> Sequence[Delivery]:
        """Every row of the ledger, in the order of the log."""
        with reading() as session:
            return session.scalars(
                select(Delivery).order_by(Delivery.event_id, Delivery.subscription)
            ).all()
