"""The faults: each finds its victim among the processes that this run started."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from sqlalchemy import select

from events import reading, subscriptions
from events.messages import Message
from events.tables import Delivery, LogEntry
from events.transport import CeleryTransport
from tasks.celery import app
from tidings.chaos.invalid_messages import InvalidMessages
from tidings.chaos.stack import Stack
from tidings.chaos.valkey import Valkey

FREEZE = (2.0, 8.0)  # seconds
DOWNTIME = (0.3, 2.0)  # seconds
RESENT_MESSAGES = 20  # the latest messages, each sent twice again, in another order
# Roles with the weights of their faults.
_KILLED = {"worker": 14, "worker child": 12, "relay": 7, "web": 9}
_FROZEN = {"worker": 6, "worker child": 6, "relay": 4, "web": 3}
_RAW_SHARE = 0.4  # of invalid messages that are not in kombu's format
_BODIES = (
    b"null",
    b"[]",
    b"{}",
    b"5",
    b"",
    b'[["x"], {}, {}]',
    b"\xff\xfe",
    b'[["' + b"x" * 5000 + b'"], {}, null]',
)
_HEADERS: tuple[dict[str, object], ...] = (
    {},
    {"task": "no.such_task", "id": "1"},
    {"task": None, "id": 5},
    {"task": "payment.charge_order"},
)
_RAW = (b"garbage", b"{", b"null", b"[1, 2]", b"\x00\xff", b'{"body": 5}')


@dataclass(frozen=True)
class Fault:
    """A fault; `inject` returns a description of what it broke, or `None` without a victim."""

    name: str
    weight: int
    inject: Callable[[], str | None]


class Faults:
    """The faults of one stack, and the timers of its frozen processes."""

    def __init__(self, stack: Stack, rng: random.Random) -> None:
        self._stack, self._rng = stack, rng
        self._transport = CeleryTransport(app)
        self._frozen: list[tuple[float, Callable[[], None]]] = []
        self.invalid_messages = InvalidMessages()

    def known(self) -> list[Fault]:
        """Return all faults that this stack allows."""
        faults = [
            *(Fault(f"kill {role}", n, self._killer(role)) for role, n in _KILLED.items()),
            *(Fault(f"freeze {role}", n, self._freezer(role)) for role, n in _FROZEN.items()),
            Fault("duplicate and shuffle messages", 8, self._resend),
        ]
        if self._stack.broker is not None:
            faults.append(Fault("empty the broker", 5, self._empty))
            faults.append(Fault("invalid message", 5, self._put_invalid_message))
        if isinstance(self._stack.broker, Valkey):
            faults.append(Fault("kill broker", 5, self._killer("broker")))
            faults.append(Fault("freeze broker", 4, self._freezer("broker")))
        if self._stack.rabbitmq is not None:
            faults.append(Fault("kill broker", 4, self._kill_rabbitmq))
            faults.append(Fault("freeze broker", 4, self._freeze_rabbitmq))
        if self._stack.postgres is not None:
            faults.append(Fault("kill database backend", 4, self._kill_backend))
            faults.append(Fault("crash database", 4, self._crash_database))
        return faults

    def thaw_due(self) -> None:
        """Thaw the processes whose time is over."""
        now = time.monotonic()
        due = [thaw for at, thaw in self._frozen if at <= now]
        self._frozen = [(at, thaw) for at, thaw in self._frozen if at > now]
        for thaw in due:
            thaw()

    def thaw_all(self) -> None:
        """Thaw every process."""
        self._frozen = [(0.0, thaw) for _, thaw in self._frozen]
        self.thaw_due()

    def close(self) -> None:
        """Close the connection to the broker."""
        self._transport.close()

    def _victim(self, role: str) -> psutil.Process | None:
        found = [
            each for each in self._stack.processes()[role] if each.status() != psutil.STATUS_STOPPED
        ]
        return self._rng.choice(found) if found else None

    def _killer(self, role: str) -> Callable[[], str | None]:
        def kill() -> str | None:
            victim = self._victim(role)
            if victim is None:
                return None
            title = _title(victim)
            if isinstance(self._stack.broker, Valkey):
                self.invalid_messages.may_be_lost()  # between its pop and its unacknowledged list
            victim.kill()
            return title

        return kill

    def _freezer(self, role: str) -> Callable[[], str | None]:
        def freeze() -> str | None:
            victim = self._victim(role)
            if victim is None:
                return None
            victim.suspend()
            return f"{_title(victim)} for {self._thaw_later(victim.resume):.1f} s"

        return freeze

    def _thaw_later(self, thaw: Callable[[], None]) -> float:
        seconds = self._rng.uniform(*FREEZE)

        def thaw_if_alive() -> None:
            try:
                thaw()
            except psutil.Error:  # killed since
                return

        self._frozen.append((time.monotonic() + seconds, thaw_if_alive))
        return seconds

    def _empty(self) -> str | None:
        assert self._stack.broker is not None
        self.invalid_messages.may_be_lost()
        self._stack.broker.empty()
        return "all messages deleted"

    def _put_invalid_message(self) -> str | None:
        broker = self._stack.broker
        assert broker is not None
        queues = sorted({each.queue for each in subscriptions.registered().values()})
        queue = self._rng.choice(queues)
        if isinstance(broker, Valkey) and self._rng.random() < _RAW_SHARE:
            item = self._rng.choice(_RAW)
            broker.put_raw(queue, item)
            self.invalid_messages.put += 1
            return f"{item!r} on {queue}"
        body, headers = self._rng.choice(_BODIES), dict(self._rng.choice(_HEADERS))
        broker.put(queue, body, headers)
        self.invalid_messages.put += 1
        return f"{body[:20]!r} with headers {headers} on {queue}"

    def _resend(self) -> str | None:
        """Send the latest messages twice again, in another order, whether handled or not."""
        with reading() as session:
            rows = session.execute(
                select(Delivery, LogEntry.type)
                .join(LogEntry, LogEntry.id == Delivery.event_id)
                .where(Delivery.sent_at.is_not(None))
                .order_by(Delivery.sent_at.desc())
                .limit(RESENT_MESSAGES)
            ).all()
        messages = [_message(row, event_type) for row, event_type in rows] * 2
        if not messages:
            return None
        self._rng.shuffle(messages)
        self._transport.send(messages)
        return f"{len(messages)} copies"

    def _kill_rabbitmq(self) -> str | None:
        broker = self._stack.rabbitmq
        if broker is None or not broker.answers():
            return None
        broker.kill()
        return f"RabbitMQ {broker.pid}"

    def _freeze_rabbitmq(self) -> str | None:
        broker = self._stack.rabbitmq
        if broker is None or not broker.running():
            return None
        broker.freeze()
        return f"RabbitMQ for {self._thaw_later(broker.thaw):.1f} s"

    def _kill_backend(self) -> str | None:
        assert self._stack.postgres is not None
        return self._stack.postgres.kill_backend(self._rng)

    def _crash_database(self) -> str | None:
        assert self._stack.postgres is not None
        downtime = self._rng.uniform(*DOWNTIME)
        self._stack.postgres.crash(downtime)
        return f"PostgreSQL, down for {downtime:.1f} s"


def _message(row: Delivery, event_type: str) -> Message:
    return Message(
        f"{row.id}:{row.sends}",
        row.subscription,
        row.queue,
        (row.event_id,),
        row.attempts,
        event_type,
    )


def _title(process: psutil.Process) -> str:
    return " ".join(process.cmdline()).strip()[:80]
