"""The whole bus with real workers, on every pair of database and broker."""

import time
from collections import Counter
from pathlib import Path

import pytest

from events import reading
from events.admin import stats
from tests.events.sample import failed_attempts
from tests.events.stack import Stack
from tests.servers import HANG, wait_until

pytestmark = pytest.mark.system


def handled(name: str) -> int:
    """Return how often the workers have counted a handled delivery of this subscription."""
    with reading() as session:
        return stats.totals(session)[name]["handled"]


@pytest.mark.parametrize(
    ("any_database", "any_broker"),
    [
        ("sqlite", "valkey"),
        pytest.param("postgres", "rabbitmq", marks=pytest.mark.slow),
        pytest.param("sqlite", "rabbitmq", marks=pytest.mark.slow),
        pytest.param("postgres", "valkey", marks=pytest.mark.slow),
    ],
    indirect=True,
)
def test_every_event_has_its_effect_once_and_so_has_what_it_caused(any_stack: Stack) -> None:
    any_stack.relay()
    any_stack.work("pings")
    any_stack.work("answers")

    any_stack.ping(*range(60))

    wait_until(
        lambda: any_stack.states("answers.hear_answer") == {"done": 60},
        what="60 answers heard",
    )
    once = Counter(range(60))
    assert any_stack.effects("answered") == once
    assert any_stack.effects("heard") == once
    # They are counted in a child of the pool, which writes its counts while it runs.
    wait_until(lambda: handled("pings.answer_ping") == 60, what="the counts of the child")


@pytest.mark.slow
def test_a_handler_that_kills_its_process_is_dead_after_some_sends_and_its_neighbours_are_handled(
    any_stack: Stack,
) -> None:
    any_stack.ping(0, deed="die")
    any_stack.ping(*range(1, 10))
    any_stack.work("pings")
    any_stack.relay()

    wait_until(
        lambda: any_stack.states("pings.answer_ping") == {"done": 9, "dead": 1},
        what="one dead, nine done",
    )
    [dead] = [row for row in any_stack.deliveries("pings.answer_ping") if row.state == "dead"]
    assert dead.error == "CrashLoop: crash loop: started 3 times, its process died each time"
    assert dead.sends == 4
    assert any_stack.effects("answered") == Counter(range(1, 10))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("any_database", "any_broker"), [("sqlite", "valkey"), ("postgres", "rabbitmq")], indirect=True
)
def test_the_deliveries_of_a_killed_worker_are_handled_by_another_within_a_minute(
    any_stack: Stack, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    any_stack.env["GATE"] = str(gate)  # with the default lease
    any_stack.ping(1, deed="wait")
    any_stack.ping(2)
    first = any_stack.work("pings")
    any_stack.relay()
    wait_until(gate.with_suffix(".reached").exists, what="the handler to be amid its work")

    first.kill()
    died = time.monotonic()
    gate.touch()
    any_stack.work("pings")

    wait_until(
        lambda: any_stack.states("pings.answer_ping") == {"done": 2},
        within=HANG,
        what="the deliveries of the dead worker",
    )
    assert time.monotonic() - died < 60
    assert any_stack.effects("answered") == Counter([1, 2])
    assert failed_attempts() == []
