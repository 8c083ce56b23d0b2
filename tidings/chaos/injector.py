"""The injector: draws the faults of a run, injects them, and repairs what does not recover."""

import random
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from events.errors import BrokerDown
from tidings.chaos.faults import DOWNTIME, Fault, Faults
from tidings.chaos.invalid_messages import InvalidMessages
from tidings.chaos.stack import Stack

REPAIR_TIMEOUT = 10.0  # seconds
# A fault can fail because of an earlier fault.
_EXPECTED_ERRORS = (
    OSError,
    httpx.HTTPError,
    RedisError,
    SQLAlchemyError,
    BrokerDown,
    psutil.Error,
)


class Injector:
    """The injector of one run; it writes each fault with its time to `journal`."""

    def __init__(self, stack: Stack, rng: random.Random, journal: Path) -> None:
        self._stack, self._rng, self._journal = stack, rng, journal
        self._faults = Faults(stack, rng)
        self.known = self._faults.known()
        self.counts: Counter[str] = Counter()
        self._deck: list[Fault] = []
        self._launch_at: float | None = None

    def next(self) -> Fault:
        """Return the next fault: each once, then by weight."""
        if not self._deck:
            weights = [each.weight for each in self.known]
            self._deck = (
                self._rng.choices(self.known, weights, k=20) if self.counts else list(self.known)
            )
            self._rng.shuffle(self._deck)
        return self._deck.pop()

    def inject(self, fault: Fault) -> str | None:
        """Inject a fault and return its description; `None` if it was not possible now."""
        try:
            what = fault.inject()
        except _EXPECTED_ERRORS as error:
            what = None
            self._write(f"{fault.name}: not possible now: {type(error).__name__}: {error}")
        if what is None:
            self._deck.insert(0, fault)  # again later, when its victim is back
        else:
            self.counts[fault.name] += 1
            self._write(f"{fault.name}: {what}")
        return what

    @property
    def invalid_messages(self) -> InvalidMessages:
        """The account of the invalid messages."""
        return self._faults.invalid_messages

    def tick(self) -> None:
        """Thaw processes whose time is over, and restart a RabbitMQ that was killed."""
        self._faults.thaw_due()
        broker = self._stack.rabbitmq
        if broker is None or broker.running():
            self._launch_at = None
        elif self._launch_at is None:
            self._launch_at = time.monotonic() + self._rng.uniform(*DOWNTIME)
        elif time.monotonic() >= self._launch_at:
            broker.launch()

    def repair(self) -> None:
        """Thaw every process, and restart a RabbitMQ that was killed."""
        self._faults.thaw_all()
        self._faults.close()
        deadline = time.monotonic() + REPAIR_TIMEOUT
        self.tick()
        broker = self._stack.rabbitmq
        while broker and not broker.running() and time.monotonic() < deadline:
            time.sleep(0.1)
            self.tick()

    def _write(self, line: str) -> None:
        with self._journal.open("a") as journal:
            journal.write(f"{time.strftime('%H:%M:%S')} {line}\n")
