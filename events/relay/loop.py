"""The relay: turns events into deliveries and sends those that are due, for as long as it runs."""

import os
import socket
import threading
import time
from datetime import datetime

import structlog
from sqlalchemy import bindparam, exists, select
from sqlalchemy.exc import SQLAlchemyError

from events import clock, heartbeat
from events.database import database, describe_error, reading, transaction, unavailable_reason
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

LONGEST_PATIENCE = 5.0  # seconds between two tries to reach a broker that is down


class Relay:
    """One relay process. Several share the work on PostgreSQL; each row is taken by one of them."""

    def __init__(self, transport: Transport, *, name: str | None = None) -> None:
        self._transport = transport
        self._name = name or f"relay@{socket.gethostname()}:{os.getpid()}"
        self._losses = LostMessageDetector(transport)
        self._trouble: str | None = None
        self._away: str | None = None
        self._patience = 0.0
        self._ask_broker_at = 0.0
        self._upkeep_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Relay until `stop` is set. A database or broker that goes away is waited for."""
        signal = wakeup(database())
        logger.info("relay.started", name=self._name)
        try:
            while not stop.is_set():
                try:
                    wait = self.work()
                except SQLAlchemyError as error:
                    self._database_is_away(error)
                    stop.wait(1.0)
                else:
                    self._database_is_back()
                    signal.wait(wait, stop)
        finally:
            signal.close()
            self._farewell()

    def work(self) -> float:
        """One round: fan out, look after losses, send, each of it for a while only; returns the seconds until the next is due."""
        fanned_out = self._fan_out()
        now = time.monotonic()
        if now >= self._upkeep_at:
            self._upkeep()
            self._upkeep_at = now + heartbeat.INTERVAL
        next_due = self._send() if now >= self._ask_broker_at else None
        waits = [self._upkeep_at - now, 0.0 if fanned_out else heartbeat.INTERVAL]
        if next_due is not None:
            waits.append((next_due - clock.now()).total_seconds())
        if self._trouble:
            waits.append(self._ask_broker_at - time.monotonic())
        return max(0.0, min(waits))

    def _fan_out(self) -> int:
        with reading() as session:  # a look is cheap; the write lock is not
            if not session.scalar(_TO_RELAY, {"now": clock.now()}):
                return 0
        with transaction() as session:
            return fan_out(session)

    def _send(self) -> datetime | None:
        """Send some of each subscription's due deliveries and return when the next one is due."""
        with reading() as session:
            times = due_times(session)
        try:
            self._send_each([name for name, at in times.items() if at <= clock.now()])
        except BrokerDown as error:
            self._broker_is_down(error)
            return None
        self._well()
        return min(times.values(), default=None)

    def _send_each(self, subscriptions: list[str]) -> None:
        refused: BrokerDown | None = None
        for name in subscriptions:
            self._transport.connect()  # if this one is refused too, it is the broker; otherwise one full queue holds up no other
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
        heartbeat.beat(self._name, "relay", trouble=self._trouble)
        try:
            self._transport.connect()
            self._losses.look()
            self._keep_dead()
            self._well()
        except BrokerDown as error:
            self._broker_is_down(error)

    def _keep_dead(self) -> None:
        try:
            self._transport.drain_dead_queue()
        except (BrokerDown, SQLAlchemyError):
            raise
        except Exception as error:  # whatever lies there, it must not keep the relay from sending
            logger.error("dead_queue.unread", error=repr(error)[:500])

    def _database_is_away(self, error: SQLAlchemyError) -> None:
        kind = (
            unavailable_reason(error) or type(error).__name__
        )  # the words differ with the statement that noticed it
        if self._away != kind:
            logger.error(
                "database.away",
                detail=describe_error(error),
                note="everything waits, and goes on by itself",
            )
            self._away = kind

    def _database_is_back(self) -> None:
        if self._away is not None:
            logger.info("database.back")
            self._away = None

    def _broker_is_down(self, error: BrokerDown) -> None:
        if self._trouble is None:
            logger.error("broker.down", error=str(error), note="deliveries wait in the ledger")
        fresh, self._trouble = self._trouble is None, str(error)
        self._patience = min(LONGEST_PATIENCE, max(0.25, self._patience * 2))
        self._ask_broker_at = time.monotonic() + self._patience
        if fresh:
            heartbeat.beat(self._name, "relay", trouble=self._trouble)

    def _well(self) -> None:
        if self._trouble is not None:
            logger.info("broker.back")
            self._trouble = None
            heartbeat.beat(self._name, "relay")
        self._patience = 0.0

    def _farewell(self) -> None:
        try:
            heartbeat.leave(self._name)
        except SQLAlchemyError as error:
            logger.warning("heartbeat.missed", detail=describe_error(error))
        logger.info("relay.stopped", name=self._name)
