"""Batches in real workers: what one delivery does to itself, it does not do to its neighbours."""

from collections import Counter

import pytest
from sqlalchemy import update

from events import transaction
from events.ledger import OPEN
from events.tables import Delivery, LogEntry
from tests.events.sample import failed_attempts
from tests.events.stack import Stack
from tests.servers import wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]

PINGS, CALLS = "pings.answer_ping", "calls.record_answer"
SLOW, FAILING, REJECTED, UNKNOWN = range(4)
OTHERS = range(4, 20)
STACKS = pytest.mark.parametrize(
    ("any_database", "any_broker"), [("sqlite", "valkey"), ("postgres", "rabbitmq")], indirect=True
)


def state(row: Delivery) -> tuple[str, int]:
    """Return the state of a delivery with the number of its failed attempts."""
    return row.state, row.attempts


@STACKS
def test_a_batch_with_a_failing_a_poisonous_and_a_slow_delivery_handles_all_others_first(
    any_stack: Stack,
) -> None:
    for number, deed in enumerate(("sleep", "fail", "reject", "work")):
        any_stack.ping(number, deed=deed)
    any_stack.ping(*OTHERS)
    any_stack.work("pings")
    with transaction() as session:  # of a version that this worker does not know
        newer = update(LogEntry).where(LogEntry.position == UNKNOWN + 1).values(version=99)
        session.execute(newer)
    any_stack.relay()

    wait_until(lambda: any_stack.effects("answered") == Counter(OTHERS), what="the others")
    slow, *_ = rows = any_stack.deliveries(PINGS)
    assert slow.state in OPEN  # it began before all of them
    assert {row.message for row in rows[4:]} == {slow.message}

    wait_until(
        lambda: any_stack.states(PINGS) == {"done": 17, "dead": 2, "retrying": 1},
        what="every delivery settled",
    )
    slow, failing, rejected, unknown, *others = any_stack.deliveries(PINGS)
    assert [state(each) for each in (slow, failing, rejected, unknown)] == [
        ("done", 0),
        ("dead", 3),
        ("dead", 1),
        ("retrying", 0),
    ]
    assert {state(each) for each in others} == {("done", 0)}
    assert any_stack.effects("answered") == Counter([SLOW, *OTHERS])


@STACKS
def test_of_a_batch_of_calls_in_which_one_hangs_the_others_are_recorded(any_stack: Stack) -> None:
    any_stack.ask(0, deed="sleep")
    any_stack.ask(*range(1, 20))
    any_stack.work("calls", TASK_SOFT_TIME_LIMIT="2", TASK_TIME_LIMIT="20")
    any_stack.relay()

    wait_until(
        lambda: any_stack.states(CALLS) == {"done": 19, "dead": 1},
        what="one dead, the others done",
    )
    hanging, *others = any_stack.deliveries(CALLS)
    assert (hanging.state, hanging.attempts) == ("dead", 3)
    assert {row.error_type for row in failed_attempts()} == {"SoftTimeLimitExceeded"}
    assert {(row.state, row.attempts, row.sends) for row in others} == {("done", 0, 1)}
    assert any_stack.effects("recorded") == Counter(range(1, 20))


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_call_of_a_batch_that_exits_is_a_crash_and_its_neighbours_are_recorded(
    pool: str, stack: Stack
) -> None:
    stack.ask(0, deed="exit")
    stack.ask(*range(1, 10))
    stack.work("calls", "--pool", pool)
    stack.relay()

    wait_until(
        lambda: stack.states(CALLS) == {"done": 9, "dead": 1},
        what="one dead, the others done",
    )
    dead, *others = stack.deliveries(CALLS)
    reason = "its process died" if pool == "prefork" else "it raised SystemExit"
    assert dead.error == f"CrashLoop: crash loop: started 3 times, {reason} each time"
    assert {row.attempts for row in others} == {0}
    assert stack.effects("recorded") == Counter(range(1, 10))
