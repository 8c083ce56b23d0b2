"""Tasks on commit that could never be sent: refused where they are written, on both databases."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from celery import Celery

from events import Database, clock, outgoing_tasks, reading, transaction, transport
from events.admin import invalid_messages
from events.errors import ScheduleError
from events.messages import TaskMessage
from events.outgoing_tasks import OutgoingTask
from events.relay.loop import Relay
from events.transport import CeleryTransport, apply_on_commit
from tests.servers import wait_until

_endless: list[Any] = []
_endless.append(_endless)
WRONG: dict[str, dict[str, Any]] = {
    "cannot be written as JSON": {"args": (object(),)},
    "cannot be written as JSON: .* ": {"args": (_endless,)},
    "eta=2030-01-01 00:00:00 has no time zone": {"eta": datetime(2030, 1, 1)},  # noqa: DTZ001 - the fault
    "eta='2030' is no datetime": {"eta": "2030"},
    "countdown=nan is no time": {"countdown": float("nan")},
    "countdown=5 is no time": {"countdown": "5"},
    "expires=nan is no time": {"expires": float("nan")},
    r"expires=1e\+300 is no time": {"expires": 1e300},
    "priority='high' is no whole number from 0 to 255": {"priority": "high"},
    "priority=-1 is no whole number": {"priority": -1},
    "priority=1099511627776 is no whole number": {"priority": 2**40},
    "is no line of 1 to 255 characters": {"queue": "a\0b"},
    "queue 'xxx.* of 1 to 255": {"queue": "x" * 300},
    "task id .* is no line": {"task_id": "a\nb"},
    "task id '5' is no line": {"task_id": 5},
    "task id 'ééé.* has more than 255 bytes in UTF-8": {"task_id": "é" * 200},
    "queue '漢漢.* has more than 255 bytes in UTF-8": {"queue": "漢" * 86},
    "caller.add cannot be sent: headers have 7.* bytes, more than 65536": {
        "headers": {"baggage": "x" * 70_000}
    },
    "header 'id' is Celery's own": {"headers": {"id": "x", "tenant": "y"}},
    "header 'update' is Celery's own": {"headers": {"update": 1}},
}
HEADERS: list[Any] = [
    {"a": object()},
    {"a": {1}},
    {"a": "\0"},
    {"a\0": 1},
    {"a": "\ud800"},
    {"a": [float("nan")]},
    {"a": {"b": 10**400}},
    {1: 1},
    "traceparent",
    {"a": _endless},
    {"x" * 256: 1},
    {"a": [{"é" * 128: 1}]},
    {"a": json.loads("[" * 30 + "]" * 30)},
]


def add(*numbers: Any) -> Any:
    return sum(numbers)


def test_a_task_that_could_never_be_sent_is_refused_and_the_transaction_goes_on(
    any_database: Database,
) -> None:
    app = Celery("caller", broker="memory://", set_as_current=False)
    task = app.task(name="caller.add", shared=False)(add)
    wrong = [*WRONG.items(), *(("headers must be a table", {"headers": each}) for each in HEADERS)]
    with transaction() as session:
        for told, options in wrong:
            with pytest.raises(ScheduleError, match=told):
                apply_on_commit(session, task, **options)
        long = app.task(name="x" * 256, shared=False)(add)
        with pytest.raises(ScheduleError, match=r"task 'xxx.* is no line of 1 to 255 characters"):
            apply_on_commit(session, long)
        headers = {"traceparent": "none", "é" * 127: [1, 0.5, None, {"a": True}]}
        apply_on_commit(session, task, (1,), task_id="kept", headers=headers, priority=0)

    with reading() as session:
        [row] = session.query(OutgoingTask).all()
    assert row.id == "kept"
    assert row.headers.items() >= headers.items()
    app.close()


@pytest.fixture
def sending(rabbitmq_url: str) -> Iterator[CeleryTransport]:
    """A transport to a RabbitMQ of its own with the queue `own`."""
    app = Celery("relay", broker=rabbitmq_url, set_as_current=False)
    app.conf.task_queues = transport.queues(("own",), quorum=True)
    sending = CeleryTransport(app)
    yield sending
    sending.close()
    app.close()


@pytest.mark.system
def test_a_task_of_the_outbox_that_cannot_be_sent_is_quarantined_and_the_others_are_sent(
    database: Database, sending: CeleryTransport
) -> None:
    # RabbitMQ's client raised struct.error, which ended the relay; headers beyond a frame end the
    # connection.
    messages = [
        TaskMessage("name", "own", {"x" * 300: 1}, "[[], {}, {}]"),
        TaskMessage("é" * 200, "own", {}, "[[], {}, {}]"),
        TaskMessage("queue", "é" * 200, {}, "[[], {}, {}]"),
        TaskMessage("size", "own", {"a": "x" * 200_000}, "[[], {}, {}]"),
        TaskMessage("good", "own", {"task": "caller.add", "id": "good"}, "[[1, 2], {}, {}]"),
    ]
    with transaction() as session:
        for message in messages:
            outgoing_tasks.add(session, message, task="caller.add", due_at=clock.now())
    Relay(sending).work()

    wait_until(lambda: sending.waiting("own") == 1, what="the good task on its queue")
    with reading() as session:
        kept = [row.reason for row in invalid_messages.listed(session)]
        assert session.query(OutgoingTask).count() == 0
    assert len(kept) == 4
    assert all(reason.startswith("cannot be sent: ") for reason in kept)
