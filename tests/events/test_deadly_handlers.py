"""Handlers that kill their process, outgrow its memory or never return, on every pool and broker.

Each ends as a dead letter with the reason.
"""

import re
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from tests.events.sample import failed_attempts
from tests.events.stack import Stack
from tests.servers import HANG, Process, wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]

MAX_MEMORY = 400_000_000  # bytes; a larger process is killed, as the kernel would do
NEIGHBOURS = range(3, 15)
LIMITS = {"TASK_SOFT_TIME_LIMIT": "3", "TASK_TIME_LIMIT": "4", "LEASE": "5"}


def supervise(worker: Process) -> None:
    """Restart the worker as its supervisor would, and kill large processes as the kernel would."""
    if not worker.running():
        worker.launch()
        return
    with suppress(psutil.Error):  # it has just exited
        parent = psutil.Process(worker.pid)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error):
                if process.memory_info().rss > MAX_MEMORY:
                    process.kill()


# `solo`, which differs from `threads` in the number of its handlers alone, is in the test below.
@pytest.mark.parametrize(
    ("pool", "any_database", "any_broker"),
    [
        ("prefork", "sqlite", "valkey"),
        ("prefork", "postgres", "rabbitmq"),
        ("threads", "postgres", "rabbitmq"),
    ],
    indirect=["any_database", "any_broker"],
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
        lambda: supervise(worker) or any_stack.states("pings.answer_ping") == settled,
        within=HANG,
        what="three dead, the others done",
    )
    wait_until(
        lambda: any_stack.effects("heard") == Counter(NEIGHBOURS),
        what="every answer heard",
    )
    assert any_stack.effects("answered") == Counter(NEIGHBOURS)
    dies, grows, hangs, *others = any_stack.deliveries("pings.answer_ping")
    # The reason is that of the last crash. On a busy machine it may be the time limit, while the
    # handler waits for the lock that the hanging one holds.
    for each in (dies, hangs):
        assert "crash loop: started 3 times, it" in str(each.error)
    assert re.search("crash loop: started 3 times, it|SoftTimeLimitExceeded", str(grows.error))
    deadly = {row.event_id for row in (dies, grows, hangs)}
    assert {row.event_id for row in failed_attempts()} == deadly
    assert {row.attempts for row in others} == {0}


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_handler_that_exits_or_never_releases_the_gil_blocks_no_other(
    pool: str, stack: Stack
) -> None:
    for number, deed in enumerate(("exit", "exit", "exit", "clutch")):
        stack.ping(number, deed=deed)
    stack.ping(*NEIGHBOURS)
    worker = stack.work("pings", "--pool", pool, "-c", "2", **LIMITS)
    stack.relay(**LIMITS)

    settled = {"done": len(NEIGHBOURS), "dead": 4}
    wait_until(
        lambda: supervise(worker) or stack.states("pings.answer_ping") == settled,
        within=HANG,
        what="four dead, the others done",
    )
    assert stack.effects("answered") == Counter(NEIGHBOURS)
    *exits, clutches = stack.deliveries("pings.answer_ping")[:4]
    assert {each.error for each in exits} == {
        "CrashLoop: crash loop: started 3 times, it raised SystemExit each time"
    }
    assert clutches.error == "CrashLoop: crash loop: started 3 times, its worker died each time"
