"""A small application for tests with real workers: its handlers work, fail, die or hang."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import billiard.pool
from celery import Celery
from celery.signals import worker_process_init
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, DeadLetter, Event, Retry, subscribe, transport
from events.relay.loop import Relay
from events.subscriptions import registered


class Pinged(Event, type="ping.pinged", source="live"):
    """A ping; `deed` tells the handler what to do."""

    number: int
    deed: str = "work"


class Answered(Event, type="ping.answered", source="live"):
    """The ping was answered."""

    number: int


class Asked(Event, type="ask.asked", source="live"):
    """A question to an outside service; `deed` tells the call what to do."""

    number: int
    deed: str = "work"


class Effect(Base):
    """An effect of a handler: a row for each time it happened."""

    __tablename__ = "live_effects"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    number: Mapped[int]
    what: Mapped[str]


QUICK = Retry(attempts=3, first=0.1, cap=0.2)


@subscribe(Pinged, queue="pings", batch=20, retry=QUICK)
def answer_ping(event: Pinged, session: Session) -> Answered:
    """Answer, and do as the ping says."""
    session.add(Effect(number=event.number, what="answered"))
    session.flush()
    DEEDS[event.deed]()
    return Answered(number=event.number)


def fail() -> None:
    """Fail as a handler with a bug does."""
    raise ValueError("secret@example.org could not be answered")


def reject() -> None:
    """Fail for good."""
    raise DeadLetter("it cannot be answered at all")


def die() -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    """Never return, whatever exception is raised in it."""
    while True:
        try:
            time.sleep(3600)
        except Exception:
            continue


def wait_for_the_gate() -> None:
    """Make the file `GATE`.reached, and wait until the test has made `GATE`."""
    gate = Path(os.environ["GATE"])
    gate.with_suffix(".reached").touch()
    while not gate.exists():
        time.sleep(0.05)


def exhaust() -> None:
    """Fail as a process does that asks for more memory than there is."""
    raise MemoryError("no memory for secret@example.org")


def grow() -> None:
    """Take memory until this process is killed."""
    taken = []
    while True:
        taken.append(bytearray(50_000_000))
        time.sleep(0.01)


DEEDS: dict[str, Callable[[], object]] = {
    "work": lambda: None,
    "fail": fail,
    "reject": reject,
    "die": die,
    "dawdle": lambda: time.sleep(1.0),
    "sleep": lambda: time.sleep(3.0),
    "exit": lambda: sys.exit("no more"),
    # Takes centuries, and holds the GIL.
    "clutch": lambda: re.match(r"(a+)+$", "a" * 60 + "b"),
    "wait": wait_for_the_gate,
    "grow": grow,
    "exhaust": exhaust,
    "hang": hang,
}


@subscribe(Answered, queue="answers", batch=20, retry=QUICK)
def hear_answer(event: Answered, session: Session) -> None:
    """Record the answer."""
    session.add(Effect(number=event.number, what="heard"))


def ask(event: Asked, key: str) -> str:
    """Ask, and do as the event says."""
    if event.deed == "sleep":
        time.sleep(3600)
    if event.deed == "exit":
        sys.exit("no more")
    return "recorded"


@subscribe(Asked, queue="calls", call=ask, retry=QUICK)
def record_answer(event: Asked, session: Session, answer: str) -> None:
    """Record the answer of the outside service."""
    session.add(Effect(number=event.number, what=answer))


@worker_process_init.connect
def die_once(**_: object) -> None:
    """Kill the first child of a worker while it starts, if the test names a file to note it in."""
    note = os.environ.get("KILL_FIRST_CHILD")
    if note and not Path(note).exists():
        Path(note).touch()
        die()


if os.environ.get("PATIENT_CHILDREN"):  # a child waits for ever for its results to be read
    billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = sys.maxsize

app = Celery("live")
app.config_from_object("celeryconfig")
transport.install(app, registered().values())
transport.configure_logging()


if __name__ == "__main__":  # python -m tests.events.live_app is its relay
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Relay(transport.CeleryTransport(app)).run(stop)
