"""Tasks of committed transactions are sent at least once, and those of others never."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue

from events import Database, clock, heartbeat, outgoing_tasks, reading, transaction
from events.errors import BrokerDown, ScheduleError
from events.outgoing_tasks import LEASE, OutgoingTask
from events.relay.loop import Relay
from events.relay.task_outbox import send_tasks
from events.testing import InMemoryTransport, ManualClock
from events.transport import apply_on_commit, delay_on_commit

app = Celery("others", set_as_current=False)
app.conf.task_queues = [
    Queue("celery"),
    Queue("slow"),
    Queue("everyone", Exchange("all", type="fanout")),
]
app.conf.task_create_missing_queues = False
app.conf.task_routes = {"tests.crawl": "slow", "tests.shout": "everyone"}


@app.task(name="tests.crawl", soft_time_limit=7)
def crawl(page: str, *, depth: int = 1) -> None: ...


@app.task(name="tests.shout")
def shout() -> None: ...


@app.task(name="tests.pickled", serializer="pickle")
def pickled() -> None: ...


@pytest.fixture
def now(any_database: Database) -> Iterator[ManualClock]:
    moved = ManualClock()
    clock.follow(moved)
    yield moved
    clock.follow(None)


@pytest.fixture
def broker(now: ManualClock) -> InMemoryTransport:
    return InMemoryTransport()


def crawled(**options: Any) -> str:
    with transaction() as session:
        return apply_on_commit(session, crawl, ("a",), **options)


def sent(broker: InMemoryTransport) -> list[str]:
    return [message.id for message in broker.tasks]


def waiting() -> list[str]:
    with reading() as session:
        return [row.id for row in session.query(OutgoingTask)]


def test_a_committed_task_is_sent_as_its_app_would_send_it(broker: InMemoryTransport) -> None:
    with transaction() as session:
        task_id = delay_on_commit(session, crawl, "https://example.org", depth=2)
    relay = Relay(broker)
    relay.work()

    [message] = broker.tasks
    assert (message.id, message.queue, message.priority) == (task_id, "slow", None)
    assert (
        message.headers.items()
        >= {
            "id": task_id,
            "task": "tests.crawl",
            "root_id": task_id,
            "timelimit": [None, 7],
            "retries": 0,
        }.items()
    )
    assert message.body.startswith('[["https://example.org"], {"depth": 2}, {"callbacks": null')
    relay.work()
    assert sent(broker) == [task_id]
    assert waiting() == []


def test_a_task_of_a_transaction_that_is_rolled_back_is_never_sent(
    broker: InMemoryTransport,
) -> None:
    def fail_afterwards() -> None:
        with transaction() as session:
            delay_on_commit(session, crawl, "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_afterwards()
    Relay(broker).work()

    assert sent(broker) == waiting() == []


def test_a_task_waits_while_the_broker_is_down(broker: InMemoryTransport, now: ManualClock) -> None:
    broker.down = True
    first, second = crawled(), crawled(task_id="of the caller")
    relay = Relay(broker)
    relay.work()
    with pytest.raises(BrokerDown):
        send_tasks(broker)
    assert sorted(waiting()) == sorted([first, second])

    broker.down = False
    assert send_tasks(broker) == {}
    assert sorted(sent(broker)) == sorted([first, "of the caller"])
    assert waiting() == []


def test_a_queue_that_refuses_its_tasks_holds_up_no_other(
    broker: InMemoryTransport, now: ManualClock
) -> None:
    broker.full_queues = {"slow"}
    refused, taken = crawled(), crawled(queue="celery")

    assert set(send_tasks(broker)) == {"slow"}
    assert sent(broker) == [taken]
    broker.full_queues.clear()
    assert send_tasks(broker) == {}
    assert sent(broker) == [taken]
    now.advance(outgoing_tasks.REFUSED_DELAY.total_seconds())
    send_tasks(broker)
    assert sent(broker) == [taken, refused]


def test_a_queue_that_refuses_its_tasks_is_named_while_those_of_another_are_sent(
    broker: InMemoryTransport,
) -> None:
    broker.full_queues = {"slow"}
    relay = Relay(broker, name="relay@test")
    crawled()
    relay.work()
    for _ in range(3):
        crawled(queue="celery")
        relay.work()

    assert len(sent(broker)) == 3
    with reading() as session:
        assert heartbeat.queue_troubles(session).keys() == {"slow"}


def test_a_relay_that_dies_after_it_has_sent_sends_again_with_the_same_id(
    broker: InMemoryTransport, now: ManualClock
) -> None:
    task_id = crawled()
    with transaction() as session:
        broker.send_tasks(outgoing_tasks.lease_due(session))  # and the process is gone

    send_tasks(broker)
    assert sent(broker) == [task_id]
    now.advance(LEASE.total_seconds())
    send_tasks(broker)
    send_tasks(broker)

    assert sent(broker) == [task_id, task_id]
    assert waiting() == []


def test_a_task_with_a_countdown_or_a_time_waits_in_the_database(
    broker: InMemoryTransport, now: ManualClock
) -> None:
    counted = crawled(countdown=60)
    timed = crawled(eta=clock.now() + timedelta(seconds=90))
    relay = Relay(broker)
    assert 0 < relay.work() <= 60
    assert sent(broker) == []

    now.advance(61)
    relay.work()
    assert sent(broker) == [counted]
    now.advance(30)
    relay.work()
    assert sent(broker) == [counted, timed]
    assert broker.tasks[0].headers["eta"] is None


def test_relays_that_send_at_the_same_moment_share_the_tasks(broker: InMemoryTransport) -> None:
    ids = {crawled() for _ in range(30)}
    with ThreadPoolExecutor(2) as pool:
        start = Barrier(2)

        def send() -> None:
            start.wait()
            send_tasks(broker)

        for done in [pool.submit(send), pool.submit(send)]:
            done.result()
    send_tasks(broker)

    assert sorted(sent(broker)) == sorted(ids)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"task_id": "taken"}, "'taken' is that of a task which waits already"),
        ({"task_id": ""}, "is no line of 1 to 200 characters"),
        ({"task_id": "a\nb"}, "is no line of 1 to 200 characters"),
        ({"task_id": "x" * 201}, "is no line of 1 to 200 characters"),
        ({"queue": "nowhere"}, "queue 'nowhere' is none of others; list it in task_queues"),
        ({"task": shout}, "tests.shout is routed to no single queue; give queue="),
        ({"task": pickled}, "tests.pickled is serialized as pickle; only json"),
        ({"args": [object()]}, "the arguments of tests.crawl cannot be written as JSON"),
        ({"eta": datetime(2030, 1, 1)}, "has no time zone"),  # noqa: DTZ001 - that is the fault
        ({"countdown": 1e300}, "countdown=1e[+]300 is no time that will come"),
        ({"countdown": float("nan")}, "countdown=nan is no time that will come"),
    ],
)
def test_a_task_that_cannot_be_sent_is_an_error_at_the_call(
    broker: InMemoryTransport, options: dict[str, Any], told: str
) -> None:
    crawled(task_id="taken")
    given: dict[str, Any] = {"task": crawl, "args": ["a"] if "task" not in options else []}

    with transaction() as session:
        with pytest.raises(ScheduleError, match=told):
            apply_on_commit(session, **{**given, **options})
        good = delay_on_commit(session, crawl, "good")
    assert sorted(waiting()) == sorted(["taken", good])


def test_wrong_arguments_are_an_error_at_the_call(broker: InMemoryTransport) -> None:
    with transaction() as session, pytest.raises(TypeError):
        delay_on_commit(session, crawl, "a", breadth=2)
    assert waiting() == []
