"""Handlers that write in every way, or do what a dry run must not let them do."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sqlalchemy import delete, insert, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, get_or_create_locked, insert_if_absent, publish, subscribe, transaction
from tests.events.sample import Mark, Noted, Replied

ECHOED = "Žofie\u2028Nováková 🎁"


class Note(Base):
    """An effect with a key of the handler's own."""

    __tablename__ = "sample_notes"

    name: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]


def write(event: Noted, session: Session) -> Replied:
    """Insert, update and delete rows by the ORM and by statements, and publish two events."""
    session.add(Mark(what="by the ORM"))
    session.execute(insert(Mark).values(what="by a statement"))
    session.execute(update(Note).where(Note.count < 2).values(count=Note.count + 10))
    get_or_create_locked(session, Note, "locked", count=1)
    insert_if_absent(session, Note, {"name": "absent", "count": 1}, {"name": "old", "count": 7})
    session.execute(delete(Note).where(Note.name == "gone"))
    session.get_one(Note, "kept").count = 5
    session.execute(text("UPDATE sample_notes SET count = 9 WHERE name = 'raw'"))
    publish(session, Replied(text="published"))
    return Replied(text="returned")


def hang(event: Noted, session: Session) -> None:
    """Hold the locks and do not end, with the signals blocked that Python would see."""
    session.add(Mark(what="hanging"))
    session.flush()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    time.sleep(60)


def crash(event: Noted, session: Session) -> None:
    """End the process."""
    os.kill(os.getpid(), signal.SIGSEGV)


def connect(event: Noted, session: Session) -> None:
    """Call the outside by a socket."""
    socket.create_connection(("127.0.0.1", 9), timeout=1)


def start_process(event: Noted, session: Session) -> None:
    """Start a process."""
    subprocess.run(["true"], check=True)


def commit(event: Noted, session: Session) -> None:
    """Commit what the worker should commit."""
    session.add(Mark(what="committed"))
    session.commit()


def use_savepoint(event: Noted, session: Session) -> None:
    """Undo a part of what was written."""
    with session.begin_nested():
        session.add(Mark(what="kept"))
    with suppress(ValueError), session.begin_nested():
        session.add(Mark(what="undone"))
        raise ValueError


def misspell(event: Noted, session: Session) -> None:
    """Fail with an error that cannot be formatted."""
    raise SyntaxError("bad", ("f", "x", 1, 3))  # type: ignore[arg-type]


def own_transaction(event: Noted, session: Session) -> None:
    """Write in a transaction of its own."""
    with transaction() as other:
        other.add(Mark(what="elsewhere"))


def talk(event: Noted, session: Session) -> None:
    """Print to the standard output, which has the results."""
    print("hello")


def echo(event: Noted, session: Session) -> Replied:
    """Return a text with letters beyond ASCII and a line separator of Unicode."""
    return Replied(text=ECHOED)


HANDLERS: tuple[Callable[..., Any], ...] = (
    *(write, hang, crash, connect, start_process, commit, own_transaction, use_savepoint),
    *(talk, echo, misspell),
)
for handler in HANDLERS:
    subscribe(Noted, queue="dry")(handler)
