"""Tasks on commit with real brokers, a relay process and a worker process."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery.result import AsyncResult

from events import Database, reading, transaction, transport
from events.messages import TaskMessage
from events.outgoing_tasks import OutgoingTask
from events.transport import apply_on_commit, delay_on_commit
from tests.events.stack import Stack
from tests.servers import HANG, Valkey, wait_until

pytestmark = pytest.mark.system

ANSWER = HANG  # until a result that never comes fails the test


class Client:
    """Another Celery app, with a task of the mixed app by name and routes of its own."""

    def __init__(self, broker: str, results: str) -> None:
        self.app = Celery("client", broker=broker, backend=results, set_as_current=False)
        self.app.conf.task_queues = transport.queues(
            ("celery", "own"), quorum=broker.startswith("amqp")
        )
        self.app.conf.task_default_queue = "celery"

        @self.app.task(name="mixed.add", shared=False)
        def add(one: int, other: int) -> int:
            raise AssertionError("the worker of the mixed app runs it")

        self.add = add


@pytest.fixture
def stack(any_broker: str, database: Database, tmp_path: Path) -> Iterator[Stack]:
    found = Stack(database, any_broker, tmp_path)
    yield found
    found.close()


def test_tasks_of_another_app_run_after_the_commit_with_the_ids_of_the_caller(
    stack: Stack, any_broker: str, valkey: Valkey, tmp_path: Path
) -> None:
    results = f"redis://127.0.0.1:{valkey.port}/1"
    stack.env |= {"RESULT_URL": results, "NOTES": str(tmp_path / "notes")}
    client = Client(any_broker, results)
    stack.work("celery,own", app="tests.events.mixed_app")
    stack.relay()

    never = _rolled_back(client)
    with transaction() as session:
        ids = {
            delay_on_commit(session, client.add, 1, 2): 3,
            apply_on_commit(session, client.add, (3, 4), task_id="mine", queue="own"): 7,
            apply_on_commit(session, client.add, (5, 6), countdown=1, priority=3): 11,
        }

    for task_id, expected in ids.items():
        assert AsyncResult(task_id, app=client.app).get(timeout=ANSWER) == expected
    assert "mine" in ids
    assert AsyncResult(never, app=client.app).state == "PENDING"
    wait_until(_is_empty, what="an empty table")
    client.app.close()


def test_a_task_that_was_committed_while_the_broker_was_down_is_sent_when_it_is_back(
    database: Database, valkey_url: str, valkey: Valkey, tmp_path: Path
) -> None:
    stack = Stack(database, valkey_url, tmp_path)
    results = f"redis://127.0.0.1:{valkey.port}/1"
    stack.env |= {"RESULT_URL": results, "NOTES": str(tmp_path / "notes")}
    client = Client(valkey_url, results)
    try:
        stack.relay()
        valkey.kill()
        with transaction() as session:
            task_id = delay_on_commit(session, client.add, 20, 3)
        valkey.launch()
        stack.work("celery", app="tests.events.mixed_app")

        assert AsyncResult(task_id, app=client.app).get(timeout=ANSWER) == 23
        wait_until(_is_empty, what="an empty table")
    finally:
        stack.close()
        client.app.close()


def test_a_queue_that_rabbitmq_does_not_have_refuses_its_tasks_and_no_others(
    rabbitmq_url: str,
) -> None:
    app = Celery("relay", broker=rabbitmq_url, set_as_current=False)
    app.conf.task_queues = transport.queues(("own",), quorum=True)
    sending = transport.CeleryTransport(app)
    try:
        refused = sending.send_tasks(
            [
                TaskMessage("1", "own", {"task": "mixed.add", "id": "1"}, "[[], {}, {}]"),
                TaskMessage("2", "nowhere", {"task": "mixed.add", "id": "2"}, "[[], {}, {}]"),
            ]
        )
        assert list(refused) == ["nowhere"]
        assert str(refused["nowhere"]).startswith("queue nowhere does not exist; start a worker")
        wait_until(lambda: sending.waiting("own") == 1, what="the task on its queue")
    finally:
        sending.close()
        app.close()


def _rolled_back(client: Client) -> str:
    """Return the id of a task of a transaction that was rolled back."""
    with transaction() as session:
        task_id = delay_on_commit(session, client.add, 1, 1)
        session.rollback()
    return task_id


def _is_empty() -> bool:
    with reading() as session:
        return session.query(OutgoingTask).count() == 0
