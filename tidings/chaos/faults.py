"""What is broken, and how: each fault finds its victim among the processes that this run started."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from redis.exceptions import RedisError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from events import reading, subscriptions
from events.errors import BrokerDown
from events.messages import Message
from events.tables import Delivery, LogEntry
from events.transport import CeleryTransport
from tasks.celery import app
from tidings.chaos.stack import Stack
from tidings.chaos.valkey import Valkey

FREEZE = (2.0, 8.0)  # seconds
AWAY = (0.3, 2.0)  # seconds that a killed server stays away
COPIES = 20  # recent messages that are sent twice again, in another order
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
_PASSING = (
    OSError,
    RedisError,
    SQLAlchemyError,
    BrokerDown,
    psutil.Error,
)  # what is broken already cannot always be broken again


@dataclass(frozen=True)
class Fault:
    """One way to break something; `do` says in words what it broke, or nothing if there was nothing to break."""

    name: str
    weight: int
    do: Callable[[], str | None]


@dataclass
class Breaker:
    """Breaks one stack at random, and mends what does not mend itself."""

    stack: Stack
    chance: random.Random
    diary: Path
    counts: Counter[str] = field(default_factory=Counter)
    _frozen: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _launch_at: float | None = None

    def __post_init__(self) -> None:
        self._transport = CeleryTransport(app)
        self._faults = self._known()
        self._deck: list[Fault] = []

    def _known(self) -> list[Fault]:
        faults = [
            Fault(f"kill {role}", weight, self._killer(role)) for role, weight in _KILLED.items()
        ]
        faults += [
            Fault(f"freeze {role}", weight, self._freezer(role)) for role, weight in _FROZEN.items()
        ]
        faults.append(Fault("double and shuffle messages", 8, self._ring_again))
        if self.stack.broker is not None:
            faults += [
                Fault("empty the broker", 5, self._empty),
                Fault("malformed message", 5, self._litter),
            ]
        if isinstance(self.stack.broker, Valkey):
            faults += [
                Fault("kill broker", 5, self._killer("broker")),
                Fault("freeze broker", 4, self._freezer("broker")),
            ]
        if self.stack.rabbitmq is not None:
            faults += [
                Fault("kill broker", 4, self._kill_rabbitmq),
                Fault("freeze broker", 4, self._freeze_rabbitmq),
            ]
        if self.stack.postgres is not None:
            faults += [
                Fault("kill database backend", 4, self._kill_backend),
                Fault("crash database", 4, self._crash_database),
            ]
        return faults

    def next(self) -> Fault:
        """The next fault: each kind once, then by weight."""
        if not self._deck:
            first = self._faults if not self.counts else []
            self._deck = list(first) or self.chance.choices(
                self._faults, [each.weight for each in self._faults], k=20
            )
            self.chance.shuffle(self._deck)
        return self._deck.pop()

    def strike(self, fault: Fault) -> str | None:
        """Break something; returns what, in words, or nothing if it was not there to be broken."""
        try:
            what = fault.do()
        except _PASSING as error:
            what = None
            self._note(f"{fault.name}: not possible now: {type(error).__name__}: {error}")
        if what is None:
            self._deck.insert(0, fault)  # later, when its victim is back
        else:
            self.counts[fault.name] += 1
            self._note(f"{fault.name}: {what}")
        return what

    def tend(self) -> None:
        """Thaw what was frozen long enough, and start again what has nobody else to start it."""
        due = [thaw for at, thaw in self._frozen if at <= time.monotonic()]
        self._frozen = [(at, thaw) for at, thaw in self._frozen if at > time.monotonic()]
        for thaw in due:
            thaw()
        broker = self.stack.rabbitmq
        if broker is None or broker.running():
            self._launch_at = None
        elif self._launch_at is None:
            self._launch_at = time.monotonic() + self.chance.uniform(*AWAY)
        elif time.monotonic() >= self._launch_at:
            broker.launch()

    def mend(self) -> None:
        """Thaw everything, and see to it that every server is there again."""
        self._frozen = [(0.0, thaw) for _, thaw in self._frozen]
        self._transport.close()
        deadline = time.monotonic() + 10.0
        self.tend()
        while (
            self.stack.rabbitmq
            and not self.stack.rabbitmq.running()
            and time.monotonic() < deadline
        ):
            time.sleep(0.1)
            self.tend()

    def _note(self, what: str) -> None:
        with self.diary.open("a") as diary:
            diary.write(f"{time.strftime('%H:%M:%S')} {what}\n")

    def _victim(self, role: str) -> psutil.Process | None:
        found = [
            each for each in self.stack.processes()[role] if each.status() != psutil.STATUS_STOPPED
        ]
        return self.chance.choice(found) if found else None

    def _killer(self, role: str) -> Callable[[], str | None]:
        def kill() -> str | None:
            victim = self._victim(role)
            if victim is None:
                return None
            title = _title(victim)
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
        seconds = self.chance.uniform(*FREEZE)

        def carefully() -> None:
            try:
                thaw()
            except psutil.Error:  # it was killed meanwhile
                return

        self._frozen.append((time.monotonic() + seconds, carefully))
        return seconds

    def _empty(self) -> str | None:
        assert self.stack.broker is not None
        self.stack.broker.empty()
        return "every message in it is gone"

    def _litter(self) -> str | None:
        broker = self.stack.broker
        assert broker is not None
        queue = self.chance.choice(
            sorted({each.queue for each in subscriptions.registered().values()})
        )
        if isinstance(broker, Valkey) and self.chance.random() < 0.4:
            item = self.chance.choice(_RAW)
            broker.put_raw(queue, item)
            return f"{item!r} on {queue}"
        body, headers = self.chance.choice(_BODIES), dict(self.chance.choice(_HEADERS))
        broker.put(queue, body, headers)
        return f"{body[:20]!r} with headers {headers} on {queue}"

    def _ring_again(self) -> str | None:
        """Messages that were sent lately, twice each and in another order, whether they were handled or not."""
        with reading() as session:
            wanted = (
                select(Delivery, LogEntry.type)
                .join(LogEntry, LogEntry.id == Delivery.event_id)
                .where(Delivery.sent_at.is_not(None))
            )
            rows = session.execute(wanted.order_by(Delivery.sent_at.desc()).limit(COPIES)).all()
        messages = [
            Message(
                f"{row.id}:{row.sends}",
                row.subscription,
                row.queue,
                (row.event_id,),
                row.attempts,
                type,
            )
            for row, type in rows
        ] * 2
        if not messages:
            return None
        self.chance.shuffle(messages)
        self._transport.send(messages)
        return f"{len(messages)} copies"

    def _kill_rabbitmq(self) -> str | None:
        broker = self.stack.rabbitmq
        if broker is None or not broker.answers():
            return None
        broker.kill()
        return f"RabbitMQ {broker.pid}"

    def _freeze_rabbitmq(self) -> str | None:
        broker = self.stack.rabbitmq
        if broker is None or not broker.running():
            return None
        broker.freeze()
        return f"RabbitMQ for {self._thaw_later(broker.thaw):.1f} s"

    def _kill_backend(self) -> str | None:
        found: str | None = self.stack.postgres.kill_backend(self.chance)
        return found

    def _crash_database(self) -> str | None:
        away = self.chance.uniform(*AWAY)
        self.stack.postgres.crash(away)
        return f"PostgreSQL, away for {away:.1f} s"


_KILLED = {"worker": 14, "worker child": 12, "relay": 7, "web": 4, "web worker": 5}
_FROZEN = {"worker": 6, "worker child": 6, "relay": 4, "web worker": 3}


def _title(process: psutil.Process) -> str:
    return " ".join(process.cmdline()).strip()[:80]
