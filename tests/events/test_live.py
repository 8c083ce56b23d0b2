"""The whole bus with real workers, on every pair of database and broker."""

from collections import Counter

import pytest

from tests.events.stack import Stack
from tests.servers import wait_until

pytestmark = pytest.mark.system


def test_every_event_has_its_effect_once_and_so_has_what_it_caused(any_stack: Stack) -> None:
    any_stack.relay()
    any_stack.work("pings")
    any_stack.work("answers")

    any_stack.ping(*range(60))

    wait_until(lambda: any_stack.states("answers.hear_answer") == {"done": 60}, within=30, what="60 answers heard")
    once = Counter(range(60))
    assert any_stack.effects("answered") == once
    assert any_stack.effects("heard") == once


@pytest.mark.slow
def test_a_handler_that_kills_its_process_is_dead_after_some_sends_and_its_neighbours_are_handled(any_stack: Stack) -> None:
    any_stack.ping(0, deed="die")
    any_stack.ping(*range(1, 10))
    any_stack.work("pings")
    any_stack.relay()

    wait_until(lambda: any_stack.states("pings.answer_ping") == {"done": 9, "dead": 1}, within=60, what="one dead, nine done")
    [dead] = [row for row in any_stack.deliveries("pings.answer_ping") if row.state == "dead"]
    assert dead.error == "CrashLoop: crash loop: started 3 times, its process died each time"
    assert dead.sends == 4
    assert any_stack.effects("answered") == Counter(range(1, 10))
