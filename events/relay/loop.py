"""The relay's loop: fan out, send, look for lost messages, until it is stopped."""

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from events import clock, count_flush, heartbeat
from events.admin import fix_canaries
from events.database import database, looking, reading, relaxed
from events.db_errors import describe_error, unavailable_reason
from events.errors import BrokerBlocked, BrokerDown, BrokerRefuses, QueueUnavailable
from events.messages import Message, Transport
from events.relay.clock_steps import ClockSteps
from events.relay.keepalive import Keepalive
from events.relay.loss import LostMessageDetector
from events.relay.round import do_round, survey
from events.relay.sending import send, unmark_sent
from events.relay.task_outbox import send_tasks
from events.relay.timetable import Timetable
from events.relay.unavailable import UnavailableQueues
from events.relay.wakeup import wakeup
from events.replays.driver import drive
from events.scheduled import release_due
from events.slots import slots_by_queue

logger = structlog.get_logger("tidings.relay")

MAX_RETRY_DELAY = 5.0  # seconds between two attempts to reach a broker that is down
REPLAY_INTERVAL = 0.5  # seconds between two slices of a replay
REPLAY_IDLE_INTERVAL = 2.0  # seconds between two looks for one: its first slice is no relay's


class Relay:
    """One relay process. Several share the work on PostgreSQL; each row is taken by one of them."""

    def __init__(self, transport: Transport, *, name: str | None = None) -> None:
        self._transport = transport
        self._name = name or f"relay@{socket.gethostname()}:{os.getpid()}"
        self._losses = LostMessageDetector(transport)
        self._queues = UnavailableQueues()
        self._timetable = Timetable()
        self._broker_error: BrokerDown | None = None
        self._database_error: str | None = None
        self._deaf: str | None = None  # why it hears no notifications
        self._clock = ClockSteps()
        self._retry_delay = self._retry_broker_at = 0.0
        self._upkeep_at = self._replays_at = self._last_beat = 0.0
        self._slots: Counter[str] = Counter()

    def run(self, stop: threading.Event) -> None:
        """Relay until `stop` is set; wait for a database or broker that goes away."""
        signal = wakeup(database())
        logger.info("relay.started", name=self._name)
        try:
            with Keepalive(self._write_heartbeat, lambda: self._last_beat):
                while not stop.is_set():
                    try:
                        wait = self.work()
                    except SQLAlchemyError as error:
                        self._report_database_error(error)
                        stop.wait(1.0)
                    else:
                        self._report_database_back()
                        signal.wait(wait, stop)
                        self._deaf = signal.trouble
        finally:
            signal.close()
            self._leave()

    def work(self) -> float:
        """Do one round: fan out, send, look for losses. Return seconds until the next is due."""
        now = time.monotonic()
        if now >= self._upkeep_at:
            self._upkeep()
            self._upkeep_at = now + heartbeat.INTERVAL
        if now >= self._replays_at:
            self._replays_at = now + (REPLAY_INTERVAL if drive() else REPLAY_IDLE_INTERVAL)
        self._timetable.publish_due()
        can_send = now >= self._retry_broker_at
        events, next_due = self._round(can_send=can_send, held=self._queues.held(now=now))
        waits = [self._upkeep_at - now, self._replays_at - now]
        waits += [0.0] if events else []
        if next_due is not None and can_send:
            waits.append((next_due - clock.now()).total_seconds())
        if (schedule_at := self._timetable.next_at) is not None:
            waits.append((schedule_at - clock.now()).total_seconds())
        if self._broker_error:
            waits.append(self._retry_broker_at - time.monotonic())
        if (attempt := self._queues.next_attempt(now=time.monotonic())) is not None:
            waits.append(attempt)
        return max(0.0, min(waits))

    def _round(self, *, can_send: bool, held: Collection[str]) -> tuple[int, datetime | None]:
        """Do a round if there is work, then send; return events and the next due time."""
        with looking() as connection:  # that is cheap; the write lock is not
            seen = survey(connection, self._slots, held)
        self._clock.check()  # after a connection, which measures it
        if can_send and seen.has_tasks:
            self._send_tasks()
        if not (seen.events or seen.has_scheduled or (can_send and seen.has_work)):
            return 0, seen.next_at
        # The marks are no promises: if a power cut takes them, a message goes out twice.
        with relaxed() as session:
            if seen.has_scheduled:
                release_due(session)
            done = do_round(session, self._slots, can_send=can_send, held=held)
        self._send(done.messages)
        return done.events + len(done.messages), None

    def _send(self, messages: Sequence[Message]) -> None:
        """Send all in one flush, and make due again what a queue or the whole broker refuses."""
        if not messages:
            return
        try:
            refused = send(self._transport, messages)
        except BrokerDown as error:
            self._unmark(messages)
            self._report_broker_down(error)
            return
        self._report_broker_up()
        if refused or self._queues:
            self._unmark([message for message in messages if message.queue in refused])
            with self._beat_on_change():
                queues = {message.queue for message in messages}
                self._queues.note_send(queues, refused, now=time.monotonic())

    def _send_tasks(self) -> None:
        try:
            refused = send_tasks(self._transport)
        except BrokerDown as error:
            self._report_broker_down(error)
            return
        self._report_broker_up()
        with self._beat_on_change():
            self._queues.note_tasks(refused, now=time.monotonic())

    def _unmark(self, messages: Sequence[Message]) -> None:
        if messages:
            with relaxed() as session:
                unmark_sent(session, messages)

    def _upkeep(self) -> None:
        self._queues.forget_idle(now=time.monotonic())
        self._beat()
        count_flush.flush()
        self._timetable.refresh()
        fix_canaries.start_due()
        with reading() as session:
            self._slots = slots_by_queue(session)
        try:
            with self._beat_on_change():
                blocked = self._connect()
                self._losses.check()
                self._queues.note("loss detection", self._losses.unavailable)
                self._drain_dead_queue()
                self._queues.note("declaration", self._transport.faults())
        except BrokerDown as error:
            blocked = error
        if blocked:
            self._report_broker_down(blocked)
        else:
            self._report_broker_up()

    def _connect(self) -> BrokerDown | None:
        """Connect; return the error if messages cannot be sent, but all else can be done."""
        try:
            self._transport.connect()
        except BrokerBlocked as error:
            return error
        return None

    def _drain_dead_queue(self) -> None:
        errors = {}
        try:
            self._transport.drain_dead_queue()
        except QueueUnavailable as error:
            errors[error.queue] = error
        except (BrokerDown, SQLAlchemyError):
            raise
        except Exception as error:  # whatever is in it, the relay must go on sending
            logger.error("dead_queue.unread", error=repr(error)[:500])
        self._queues.note("dead queue", errors)

    @contextmanager
    def _beat_on_change(self) -> Iterator[None]:
        """Beat afterwards if the unavailable queues are others than before."""
        before = self._queues.troubles()
        yield
        if self._queues.troubles() != before:
            self._beat()

    def _beat(self) -> None:
        self._write_heartbeat()
        self._last_beat = time.monotonic()

    def _write_heartbeat(self) -> None:
        heartbeat.beat(
            self._name,
            "relay",
            trouble=str(self._broker_error) if self._broker_error else None,
            blocked=isinstance(self._broker_error, BrokerRefuses),
            queue_troubles=self._queues.troubles(),
            deaf=self._deaf,
        )

    def _report_database_error(self, error: SQLAlchemyError) -> None:
        # Not the message, which differs with the statement that failed.
        kind = unavailable_reason(error) or type(error).__name__
        if self._database_error != kind:
            note = "everything waits, and goes on by itself"
            logger.error("database.away", detail=describe_error(error), note=note)
            self._database_error = kind

    def _report_database_back(self) -> None:
        if self._database_error is not None:
            logger.info("database.back")
            self._database_error = None

    def _report_broker_down(self, error: BrokerDown) -> None:
        fresh = self._broker_error is None
        self._broker_error = error
        self._retry_delay = min(MAX_RETRY_DELAY, max(0.25, self._retry_delay * 2))
        self._retry_broker_at = time.monotonic() + self._retry_delay
        if fresh:
            name = "broker.blocked" if isinstance(error, BrokerRefuses) else "broker.down"
            logger.error(name, error=str(error), note="deliveries wait in the ledger")
            self._beat()

    def _report_broker_up(self) -> None:
        if self._broker_error is not None:
            logger.info("broker.back")
            self._broker_error = None
            self._beat()
        self._retry_delay = 0.0

    def _leave(self) -> None:
        try:
            heartbeat.leave(self._name)
        except SQLAlchemyError as error:
            logger.warning("heartbeat.missed", detail=describe_error(error))
        logger.info("relay.stopped", name=self._name)
