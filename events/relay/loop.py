"""The relay's loop: fan out, send, look for lost messages, until it is stopped."""

import os
import socket
import threading
import time
from datetime import datetime

import structlog
from sqlalchemy import bindparam, exists, select
from sqlalchemy.exc import SQLAlchemyError

from events import clock, heartbeat
from events.database import database, reading, transaction
from events.db_errors import describe_error, unavailable_reason
from events.errors import BrokerDown
from events.messages import Transport
from events.relay.fanout import fan_out
from events.relay.loss import LostMessageDetector
from events.relay.sending import due_times, mark_due_as_sent, unmark_sent
from events.relay.wakeup import wakeup
from events.tables import LogEntry

logger = structlog.get_logger("tidings.relay")

_TO_RELAY = select(
    exists().where(LogEntry.relayed_at.is_(None), LogEntry.publish_at <= bindparam("now"))
)

MAX_RETRY_DELAY = 5.0  # seconds between two attempts to reach a broker that is down


class Relay:
    """One relay process. Several share the work on PostgreSQL; each row is taken by one of them."""

    def __init__(self, transport: Transport, *, name: str | None = None) -> None:
        self._transport = transport
        self._name = name or f"relay@{socket.gethostname()}:{os.getpid()}"
        self._losses = LostMessageDetector(transport)
        self._broker_error: str | None = None
        self._database_error: str | None = None
        self._retry_delay = 0.0
        self._retry_broker_at = 0.0
        self._upkeep_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Relay until `stop` is set; wait for a database or broker that goes away."""
        signal = wakeup(database())
        logger.info("relay.started", name=self._name)
        try:
            while not stop.is_set():
                try:
                    wait = self.work()
                except SQLAlchemyError as error:
                    self._report_database_error(error)
                    stop.wait(1.0)
                else:
                    self._report_database_back()
                    signal.wait(wait, stop)
        finally:
            signal.close()
            self._leave()

    def work(self) -> float:
        """Do one round: fan out, look for losses, send. Return seconds until the next is due."""
        fanned_out = self._fan_out()
        now = time.monotonic()
        if now >= self._upkeep_at:
            self._upkeep()
            self._upkeep_at = now + heartbeat.INTERVAL
        next_due = self._send() if now >= self._retry_broker_at else None
        waits = [self._upkeep_at - now, 0.0 if fanned_out else heartbeat.INTERVAL]
        if next_due is not None:
            waits.append((next_due - clock.now()).total_seconds())
        if self._broker_error:
            waits.append(self._retry_broker_at - time.monotonic())
        return max(0.0, min(waits))

    def _fan_out(self) -> int:
        with reading() as session:  # to look is cheap; the write lock is not
            if not session.scalar(_TO_RELAY, {"now": clock.now()}):
                return 0
        with transaction() as session:
            return fan_out(session)

    def _send(self) -> datetime | None:
        """Send some of each subscription's due deliveries; return when the next one is due."""
        with reading() as session:
            times = due_times(session)
        try:
            self._send_each([name for name, at in times.items() if at <= clock.now()])
        except BrokerDown as error:
            self._report_broker_down(error)
            return None
        self._report_broker_up()
        return min(times.values(), default=None)

    def _send_each(self, subscriptions: list[str]) -> None:
        refused: BrokerDown | None = None
        for name in subscriptions:
            # Refused too, it is the broker; otherwise one full queue holds up no other.
            self._transport.connect()
            try:
                self._send_some(name)
            except BrokerDown as error:
                refused = error
        if refused:
            raise refused

    def _send_some(self, subscription: str) -> None:
        with transaction() as session:
            messages = mark_due_as_sent(session, subscription)
        try:
            if messages:
                self._transport.send(messages)
        except BrokerDown:
            with transaction() as session:
                unmark_sent(session, messages)
            raise

    def _upkeep(self) -> None:
        heartbeat.beat(self._name, "relay", trouble=self._broker_error)
        try:
            self._transport.connect()
            self._losses.check()
            self._drain_dead_queue()
            self._report_broker_up()
        except BrokerDown as error:
            self._report_broker_down(error)

    def _drain_dead_queue(self) -> None:
        try:
            self._transport.drain_dead_queue()
        except (BrokerDown, SQLAlchemyError):
            raise
        except Exception as error:  # whatever is in it, the relay must go on sending
            logger.error("dead_queue.unread", error=repr(error)[:500])

    def _report_database_error(self, error: SQLAlchemyError) -> None:
        # Not the message, which differs with the statement that failed.
        kind = unavailable_reason(error) or type(error).__name__
        if self._database_error != kind:
            logger.error(
                "database.away",
                detail=describe_error(error),
                note="everything waits, and goes on by itself",
            )
            self._database_error = kind

    def _report_database_back(self) -> None:
        if self._database_error is not None:
            logger.info("database.back")
            self._database_error = None

    def _report_broker_down(self, error: BrokerDown) -> None:
        if self._broker_error is None:
            logger.error("broker.down", error=str(error), note="deliveries wait in the ledger")
        fresh, self._broker_error = self._broker_error is None, str(error)
        self._retry_delay = min(MAX_RETRY_DELAY, max(0.25, self._retry_delay * 2))
        self._retry_broker_at = time.monotonic() + self._retry_delay
        if fresh:
            heartbeat.beat(self._name, "relay", trouble=self._broker_error)

    def _report_broker_up(self) -> None:
        if self._broker_error is not None:
            logger.info("broker.back")
            self._broker_error = None
            heartbeat.beat(self._name, "relay")
        self._retry_delay = 0.0

    def _leave(self) -> None:
        try:
            heartbeat.leave(self._name)
        except SQLAlchemyError as error:
            logger.warning("heartbeat.missed", detail=describe_error(error))
        logger.info("relay.stopped", name=self._name)
