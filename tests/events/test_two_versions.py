"""Workers of two code versions on one queue: nothing is lost, and nothing done twice."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from kombu import Producer
from sqlalchemy import select, text

from events import Event, publish, reading, transaction
from events.admin import subscriptions
from events.ledger import OPEN
from events.subscriptions import registered
from events.tables import Attempt, Delivery, InvalidMessageRow
from tests.events.stack import Stack
from tests.events.transport.confirmed import confirmed_channel
from tests.events.two_versions.effects import Greeting
from tests.events.two_versions.new import Greeted, GreetedV1
from tests.servers import wait_until

pytestmark = pytest.mark.system

NOTE, COUNT = "greet.note_greeting", "greet.count_language"
NOTHING = [[[str(uuid4())]], {}, dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))]
OF_BOTH, OF_OLD, OF_NEW, LAST = range(10), range(10, 20), range(20, 30), range(30, 31)


def greet(kind: type[Event], numbers: Iterable[int], **fields: str) -> None:
    """Publish greetings, as a web of either version does."""
    with transaction() as session:
        publish(session, *[kind.model_validate({"number": n} | fields) for n in numbers])


def effects(*fields: str) -> Counter[tuple[object, ...]]:
    """Count the effects by these fields."""
    with reading() as session:
        rows = session.scalars(select(Greeting)).all()
        return Counter(tuple(getattr(row, each) for each in fields) for row in rows)


@contextmanager
def without_table(name: str) -> Iterator[None]:
    """Rename a table, so that the database refuses what needs it."""
    with transaction() as session:
        session.execute(text(f"ALTER TABLE {name} RENAME TO elsewhere"))
    yield
    with transaction() as session:
        session.execute(text(f"ALTER TABLE elsewhere RENAME TO {name}"))


def forge(url: str, *messages: tuple[str, object]) -> None:
    """Send messages for tasks that the old worker does not have."""
    with confirmed_channel(url) as confirmed:
        producer = Producer(confirmed.channel, routing_key="greet")
        for task, body in messages:
            confirmed.publish(
                producer.publish,
                json.dumps(body).encode(),
                headers={"task": task, "id": str(uuid4()), "lang": "py"},
                content_type="application/json",
                content_encoding="utf-8",
            )


def waiting() -> list[Delivery]:
    """Return the open deliveries."""
    with reading() as session:
        return list(session.scalars(select(Delivery).where(Delivery.state.in_(OPEN))))


def quarantined() -> list[str]:
    with reading() as session:
        return sorted(session.scalars(select(InvalidMessageRow.reason)))


@pytest.mark.slow
def test_old_and_new_workers_share_a_queue_and_each_event_is_handled_once(stack: Stack) -> None:
    old = stack.work("greet", app="tests.events.two_versions.old")
    with transaction() as session:  # as `tidings migrate` of the new version does
        ours = [each for name, each in registered().items() if name in (NOTE, COUNT)]
        subscriptions.register(session, ours)
    with without_table("subscriptions"):
        forge(stack.env["BROKER_URL"], (COUNT, NOTHING))
        wait_until(lambda: "delivery.not_released" in old.log(), what="a refusal of the database")
    stack.relay()

    the_old_worker_alone_handles_what_it_knows(stack)
    stack.work("greet", app="tests.events.two_versions.new")  # side by side
    greet(GreetedV1, OF_OLD)
    wait_until(lambda: not waiting(), what=f"everything; {old.log()}")
    assert old.running()
    assert "delivery.released" in old.log()
    old.stop()
    greet(GreetedV1, LAST)  # by a web of the old version
    wait_until(lambda: effects("number")[(30,)] == 2, what="the event of the old version")
    each_was_handled_once()
    assert len(quarantined()) == 2


def the_old_worker_alone_handles_what_it_knows(stack: Stack) -> None:
    """See that the rest waits, and that only what nobody knows is quarantined."""
    greet(GreetedV1, OF_BOTH)
    greet(Greeted, OF_NEW, language="de")
    forge(stack.env["BROKER_URL"], ("greet.nobody", NOTHING), (COUNT, []))
    wait_until(lambda: sum(effects("number").values()) == len(OF_BOTH), what="those of both")
    wait_until(lambda: {row.error is None for row in waiting()} == {False}, what="a reason for all")
    assert len(waiting()) == len(OF_NEW) + len(OF_BOTH) + len(OF_NEW)
    wait_until(lambda: len(quarantined()) == 2, what="two messages in quarantine")
    assert quarantined() == [
        f"unknown task {name!r}; no module of this worker has it"
        for name in (COUNT, "greet.nobody")
    ]


def each_was_handled_once() -> None:
    """See that each handler handled each event once, those of version 2 in the new worker."""
    whats = ("noted", "counted")
    everything = [(n, what) for n in (*OF_BOTH, *OF_OLD, *OF_NEW, *LAST) for what in whats]
    assert effects("number", "what") == Counter(everything)
    by_new = [each for each in effects("number", "worker", "language") if each[0] in OF_NEW]
    assert sorted(by_new) == [(n, "new", "de") for n in OF_NEW]
    assert effects("number", "worker", "language")[(30, "new", "unknown")] == 2
    with reading() as session:
        assert session.scalars(select(Attempt)).all() == []
