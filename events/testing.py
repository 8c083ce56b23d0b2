"""The bus in one process, for tests: the real log, fan-out and dispatch on a broker in memory.

pytest loads the fixture `bus` from `tidings.pytest_plugin`.
"""

import random
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import inspect, select

from events import clock, log
from events.admin import subscriptions as admin
from events.database import Database, database, reading, transaction, use
from events.dispatch import dispatch
from events.errors import BrokerDown, QueueUnavailable
from events.event import Event
from events.messages import Message, TaskMessage, Transport
from events.orm import Base
from events.outcome import Report
from events.relay.round import Round, do_round
from events.replays.driver import drive
from events.scheduled import release_due
from events.subscriptions import Subscription, registered
from events.tables import Delivery, LogEntry

TICK = 1e-6  # seconds


def create_missing_tables(database: Database) -> None:
    """Create the tables that the database lacks; quicker than to ask for each of them."""
    there = set(inspect(database.writer).get_table_names())
    if missing := [each for each in Base.metadata.tables.values() if each.name not in there]:
        Base.metadata.create_all(database.writer, tables=missing)


class ManualClock:
    """A clock for `events.clock.follow` that a test moves.

    Each reading moves it by `tick` seconds, so that with a tick no two times are equal.
    """

    def __init__(self, *, tick: float = 0.0) -> None:
        self._time = clock.now()
        self._tick = timedelta(seconds=tick)

    def __call__(self) -> datetime:
        """Return the time."""
        self._time += self._tick
        return self._time

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self._time += timedelta(seconds=seconds)


class InMemoryTransport(Transport):
    """A transport whose queues are lists.

    `sent` holds every message, `ready` those that no worker has received, `tasks` those for
    ordinary tasks. A test may set `down`, and the `full_queues`, which refuse their messages.
    """

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.ready: list[Message] = []
        self.tasks: list[TaskMessage] = []
        self.down = False
        self.full_queues: set[str] = set()

    def connect(self) -> None:
        """Raise `BrokerDown` while the broker is down."""
        if self.down:
            raise BrokerDown("the test has switched it off")

    def send(self, messages: Sequence[Message]) -> dict[str, QueueUnavailable]:
        """Take the messages but those of full queues; return these."""
        self.connect()
        taken = [message for message in messages if message.queue not in self.full_queues]
        self.sent.extend(taken)
        self.ready.extend(taken)
        refused = {message.queue for message in messages} & self.full_queues
        return {queue: QueueUnavailable(queue, "is full", "empty it") for queue in refused}

    def send_tasks(self, messages: Sequence[TaskMessage]) -> dict[str, QueueUnavailable]:
        """Take the messages for ordinary tasks but those of full queues; return these."""
        self.connect()
        self.tasks += [message for message in messages if message.queue not in self.full_queues]
        refused = {message.queue for message in messages} & self.full_queues
        return {queue: QueueUnavailable(queue, "is full", "empty it") for queue in refused}

    def waiting(self, queue: str) -> int:
        """Return the number of messages on `queue` that no worker has received."""
        self.connect()
        return sum(message.queue == queue for message in self.ready)

    def receive(self) -> list[Message]:
        """Take every message off its queue, the oldest first."""
        received, self.ready = self.ready, []
        return received

    def faults(self) -> dict[str, QueueUnavailable]:
        """Return nothing: no queue has a fault."""
        return {}

    def drain_dead_queue(self) -> int:
        """Return 0: this broker dead-letters nothing."""
        self.connect()
        return 0


class Bus:
    """A bus with a broker in memory and a clock that the test moves.

    It uses this process's database, or `database` if one is given, and makes the missing tables. It
    delivers to every registered subscription, or to `subscriptions` only. With `fail_fast` an error
    of a handler is raised by `drain`; without, it leads to retries and a dead letter, as in
    production, and `reports` has it.

    `duplicate_messages` delivers every message twice; `shuffle` is a random source that mixes their
    order. Replays go on with each `drain`, unless `drives_replays` is off.
    """

    def __init__(
        self,
        database: Database | None = None,
        subscriptions: Iterable[Subscription] | None = None,
        *,
        fail_fast: bool = True,
    ) -> None:
        self._database = database
        self._subscriptions = (
            {each.name: each for each in subscriptions} if subscriptions is not None else None
        )
        self.fail_fast = fail_fast
        self.duplicate_messages = False
        self.drives_replays = True
        self.shuffle: random.Random | None = None
        self.clock = ManualClock(tick=TICK)
        self.transport = InMemoryTransport()
        self.reports: list[Report] = []
        self._received: deque[Message] = deque()

    def __enter__(self) -> "Bus":
        if self._database is not None:
            use(self._database)
        create_missing_tables(database())
        clock.follow(self.clock)
        with transaction() as session:
            admin.register(session, self.subscriptions.values())
        return self

    def __exit__(self, *_: object) -> None:
        clock.follow(None)
        if self._database is not None:
            use(None)

    @property
    def subscriptions(self) -> dict[str, Subscription]:
        """The subscriptions that this bus delivers to, by name."""
        return registered() if self._subscriptions is None else self._subscriptions

    @property
    def sent(self) -> list[Message]:
        """Every message that was sent."""
        return self.transport.sent

    @property
    def published(self) -> list[Event]:
        """Every event of the log in its newest version, in order."""
        with reading() as session:
            rows = session.scalars(select(LogEntry).order_by(LogEntry.position))
            return [log.envelope(row).event() for row in rows]

    def deliveries(self) -> Sequence[Delivery]:
        """Return every row of the ledger, in the order of the log."""
        with reading() as session:
            return session.scalars(
                select(Delivery).order_by(Delivery.event_id, Delivery.subscription)
            ).all()

    def publish(self, *events: Event, subject: str | None = None) -> None:
        """Publish events in a transaction of their own."""
        with transaction() as session:
            log.publish(session, *events, subject=subject)

    def advance(self, seconds: float) -> None:
        """Move the clock and handle every delivery that became due."""
        self.clock.advance(seconds)
        self.drain()

    def drain(self) -> None:
        """Handle every delivery that is due, and those that follow from it, until none is.

        With `fail_fast` it raises the error of the first delivery that fails, after the ledger has
        recorded it; another call handles the rest.
        """
        while self._received or self._receive():
            message = self._received.popleft()
            report = dispatch(
                self.subscriptions[message.subscription], message.event_ids, worker="test"
            )
            self.reports.append(report)
            if self.fail_fast and report.error is not None:
                raise report.error

    def send_due(self) -> None:
        """Fan events out and send the due deliveries, as many as the window lets through."""
        if self.drives_replays:
            drive()
        while (done := self._round()).events or done.messages:
            self.transport.send(
                [each for each in done.messages if each.subscription in self.subscriptions]
            )

    def _round(self) -> Round:
        with transaction() as session:
            release_due(session)
            return do_round(session, Counter())

    def _receive(self) -> bool:
        self.send_due()
        messages = self.transport.receive()
        if self.duplicate_messages:
            messages = [*messages, *messages]
        if self.shuffle:
            self.shuffle.shuffle(messages)
        self._received.extend(messages)
        return bool(messages)
