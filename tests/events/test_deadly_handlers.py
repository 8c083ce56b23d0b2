"""Handlers that kill their process, grow until they are killed, or never return: dead with the reason, on every pool and broker."""

import re
from collections import Counter

import psutil
import pytest

from tests.events.sample import failed_attempts
from tests.events.stack import Stack
from tests.servers import Process, wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(240)]

TOO_BIG = 400_000_000  # bytes of a process, from which it is killed as the kernel would
NEIGHBOURS = range(3, 15)
LIMITS = {"TASK_SOFT_TIME_LIMIT": "3", "TASK_TIME_LIMIT": "4", "LEASE": "5"}


def tend(worker: Process) -> None:
    """Be the kernel that kills what grows, and the supervisor that starts a worker again."""
    if not worker.running():
        worker.launch()
        return
    for process in [
        psutil.Process(worker.pid),
        *psutil.Process(worker.pid).children(recursive=True),
    ]:
        try:
            if process.memory_info().rss > TOO_BIG:
                process.kill()
        except psutil.Error:  # it has just ended
            continue


@pytest.mark.parametrize("pool", ["prefork", "solo", "threads"])
@pytest.mark.parametrize(
    ("any_database", "any_broker"), [("sqlite", "valkey"), ("postgres", "rabbitmq")], indirect=True
)
def test_a_deadly_handler_ends_as_a_dead_letter_and_everything_beside_it_is_handled(
    pool: str, any_stack: Stack
) -> None:
    for number, deed in enumerate(("die", "grow", "hang")):
        any_stack.ping(number, deed=deed)
    any_stack.ping(*NEIGHBOURS[1:])
    any_stack.ping(NEIGHBOURS[0], deed="dawdle")  # needs longer than the deadly ones do
    worker = any_stack.work("pings", "--pool", pool, "-c", "2", **LIMITS)
    any_stack.work("answers")
    any_stack.relay(**LIMITS)

    settled = {"done": len(NEIGHBOURS), "dead": 3}
    wait_until(
        lambda: tend(worker) or any_stack.states("pings.answer_ping") == settled,
        within=150,
        what="three dead, the others done",
    )
    wait_until(
        lambda: any_stack.effects("heard") == Counter(NEIGHBOURS),
        within=20,
        what="every answer heard",
    )
    assert any_stack.effects("answered") == Counter(NEIGHBOURS)
    dies, grows, hangs, *others = any_stack.deliveries("pings.answer_ping")
    # The words tell of the last time; on a busy machine that may be the time limit, while it waits for the lock of the one that hangs.
    for each in (dies, hangs):
        assert "crash loop: started 3 times, it" in str(each.error)
    assert re.search("crash loop: started 3 times, it|SoftTimeLimitExceeded", str(grows.error))
    assert {row.event_id for row in failed_attempts()} == {
        dies.event_id,
        grows.event_id,
        hangs.event_id,
    }
    assert {row.attempts for row in others} == {0}


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_handler_that_exits_or_never_lets_go_of_pythons_lock_holds_nobody_up(
    pool: str, stack: Stack
) -> None:
    for number, deed in enumerate(("exit", "exit", "exit", "clutch")):
        stack.ping(number, deed=deed)
    stack.ping(*NEIGHBOURS)
    worker = stack.work("pings", "--pool", pool, "-c", "2", **LIMITS)
    stack.relay(**LIMITS)

    settled = {"done": len(NEIGHBOURS), "dead": 4}
    wait_until(
        lambda: tend(worker) or stack.states("pings.answer_ping") == settled,
        within=170,
        what="four dead, the others done",
    )
    assert stack.effects("answered") == Counter(NEIGHBOURS)
    *exits, clutches = stack.deliveries("pings.answer_ping")[:4]
    assert {each.error for each in exits} == {
        "CrashLoop: crash loop: started 3 times, it raised SystemExit each time"
    }
    assert clutches.error == "CrashLoop: crash loop: started 3 times, its worker died each time"
