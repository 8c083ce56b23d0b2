"""Ordinary tasks of Celery run on the workers of the bus, beside its subscriptions."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Signature, chain, chord, group
from celery.exceptions import WorkerLostError
from celery.result import AsyncResult
from kombu import Producer
from sqlalchemy import select

from events import Database, clock, reading, transport
from events.tables import InvalidMessageRow
from tests import forked
from tests.events.stack import Stack
from tests.events.transport.confirmed import confirmed_channel
from tests.events.transport.malformed import WRONG_ORDINARY
from tests.servers import HANG, Valkey, wait_until

pytestmark = pytest.mark.system

FOREIGN = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "sentry-trace": "none that one could read",
    "baggage": "a=1,b=2",
    "tenant": {"id": 5},
}
ANSWER = HANG  # until a result that never comes fails the test
QUEUES = ("pings", "answers", "celery", "own")
APP = "tests.events.mixed_app"


class Mixed:
    """A worker for all queues of the mixed app, and a client that knows its tasks by name."""

    def __init__(self, stack: Stack, client: Celery) -> None:
        self.stack, self.client = stack, client

    def task(self, name: str, *args: Any, **options: Any) -> Signature:
        """Return the signature of a task of the mixed app."""
        return self.client.signature(f"mixed.{name}", args, **options)

    def send(self, name: str, *args: Any, **options: Any) -> AsyncResult:
        """Send a task of the mixed app."""
        return self.task(name, *args).apply_async(**options)

    def celery(self, *words: str) -> str:
        """Run a command of Celery and return what it prints."""
        words = ("celery", "-A", APP, *words)
        done = forked.run(*words, env=self.stack.env, modules=forked.BUS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def noted(self) -> Counter[str]:
        """Count the lines that the tasks wrote."""
        notes = Path(self.stack.env["NOTES"])
        return Counter(notes.read_text().splitlines() if notes.exists() else [])


@pytest.fixture
def mixed(any_broker: str, database: Database, valkey: Valkey, tmp_path: Path) -> Iterator[Mixed]:
    """The mixed app with one worker on each broker; the results are in Valkey."""
    stack = Stack(database, any_broker, tmp_path)
    results = f"redis://127.0.0.1:{valkey.port}/1"
    stack.env |= {"RESULT_URL": results, "NOTES": str(tmp_path / "notes")}
    client = Celery("client", broker=any_broker, backend=results, set_as_current=False)
    client.conf.task_queues = transport.queues(QUEUES, quorum=any_broker.startswith("amqp"))
    client.conf.task_default_queue = "celery"
    stack.work(",".join(QUEUES), app=APP, concurrency=2)
    [worker] = stack.workers.values()
    # On RabbitMQ a countdown needs exchanges that Celery's worker declares; without one it is lost.
    wait_until(lambda: "@test ready." in worker.log(), what="a worker that is ready")
    yield Mixed(stack, client)
    client.close()
    stack.close()


@pytest.mark.parametrize(
    "any_broker",
    ["valkey", pytest.param("rabbitmq", marks=pytest.mark.slow)],
    indirect=True,
)
def test_ordinary_tasks_run_as_ever_beside_deliveries(mixed: Mixed) -> None:
    stack = mixed.stack
    stack.relay()
    stack.ping(1)
    later = clock.now() + timedelta(seconds=2)
    at = mixed.send("add", 2, 2, eta=later, queue="own")
    results = {
        "delay": (mixed.send("add", 1, 1), 2),
        "a queue of its own": (mixed.send("add", 3, 4, queue="own"), 7),
        "a queue of a subscription": (mixed.send("add", 5, 5, queue="pings"), 10),
        "countdown": (mixed.send("add", 1, 2, countdown=1), 3),
        "eta": (at, 4),
        "chain": (chain(mixed.task("add", 1, 1), mixed.task("add", 10))(), 12),
        "group": (group(mixed.task("add", each, 1) for each in range(3)).apply_async(), [1, 2, 3]),
        "chord": (chord(mixed.task("add", each, 0) for each in (5, 7))(mixed.task("total")), 12),
        "retry": (mixed.send("retry", 2), "2 retries"),
        "an id of words": (mixed.send("add", 1, 9, task_id="größe 1"), 10),
        "expires": (mixed.send("add", 6, 6, expires=600), 12),
    }

    assert {name: result.get(timeout=ANSWER) for name, (result, _) in results.items()} == {
        name: expected for name, (_, expected) in results.items()
    }
    wait_until(lambda: stack.effects("answered") == Counter([1]), what="the delivery")
    assert FOREIGN.items() >= mixed.send("headers", headers=FOREIGN).get(timeout=ANSWER).items()
    commands_work(mixed)
    beats(mixed)
    assert quarantined() == []


def commands_work(mixed: Mixed) -> None:
    """Call a task and inspect the worker with Celery's commands."""
    called = mixed.celery("call", "mixed.note", "--args", json.dumps(["called"])).strip()
    wait_until(lambda: mixed.noted()["called"] == 1, what=f"the task {called}")
    registered_tasks = mixed.celery("inspect", "registered")
    assert "mixed.add" in registered_tasks
    assert "pings.answer_ping" in registered_tasks


def beats(mixed: Mixed) -> None:
    """Run Celery's beat until it has sent the user's entry twice."""
    home = mixed.stack.home / "beat"
    home.mkdir()
    words = ["beat", "--schedule", str(home / "schedule"), "--pidfile", ""]
    beat = forked.BusProcess(["celery", "-A", APP, *words], home, mixed.stack.env)
    beat.launch()
    try:
        wait_until(lambda: mixed.noted()["beat"] >= 2, what=f"two ticks; {beat.log()}")
    finally:
        beat.kill()


@pytest.mark.parametrize("any_broker", ["valkey"], indirect=True)
def test_an_ordinary_task_that_dies_exits_or_overstays_has_the_fate_that_celery_gives_it(
    mixed: Mixed,
) -> None:
    [worker] = mixed.stack.workers.values()

    died = mixed.send("do", "die")
    with pytest.raises(WorkerLostError):
        died.get(timeout=ANSWER)
    slow = mixed.send("do", "hang", time_limit=1)
    with pytest.raises(Exception, match="TimeLimitExceeded"):
        slow.get(timeout=ANSWER)

    assert mixed.send("add", 1, 1).get(timeout=ANSWER) == 2
    assert worker.running()
    assert "crash.not_recorded" not in worker.log()


@pytest.mark.parametrize(
    "any_broker",
    ["valkey", pytest.param("rabbitmq", marks=pytest.mark.slow)],
    indirect=True,
)
def test_an_ordinary_task_that_lacks_memory_has_failed_and_its_worker_lives_on(
    mixed: Mixed,
) -> None:
    [worker] = mixed.stack.workers.values()
    pid = worker.pid

    for name in ("do", "do_late"):
        with pytest.raises(MemoryError, match="no memory for"):
            mixed.send(name, "exhaust").get(timeout=ANSWER)

    assert mixed.send("add", 1, 1).get(timeout=ANSWER) == 2
    assert (worker.running(), worker.pid) == (True, pid)
    assert mixed.noted()["exhaust"] == 1


def test_an_ordinary_message_that_would_end_the_worker_is_quarantined(mixed: Mixed) -> None:
    [worker] = mixed.stack.workers.values()
    pid = worker.pid

    with confirmed_channel(mixed.stack.env["BROKER_URL"]) as confirmed:
        producer = Producer(confirmed.channel, routing_key="celery")
        for each in WRONG_ORDINARY:
            confirmed.publish(
                producer.publish,
                each.body,
                headers=each.headers,
                content_type=each.content_type,
                content_encoding=each.content_encoding,
            )

    wait_until(lambda: len(quarantined()) >= len(WRONG_ORDINARY), what="all in quarantine")
    assert Counter(row.body for row in quarantined()) == Counter(
        each.body for each in WRONG_ORDINARY
    )
    assert mixed.send("add", 1, 1).get(timeout=ANSWER) == 2
    assert (worker.running(), worker.pid) == (True, pid)
    assert any("mixed.no_such_task" in row.reason for row in quarantined())


def quarantined() -> list[InvalidMessageRow]:
    with reading() as session:
        return list(session.scalars(select(InvalidMessageRow)))
