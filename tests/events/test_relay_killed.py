"""The relay killed at each step between the log and the broker: nothing is lost, and no effect happens twice."""

import sys
from collections import Counter
from collections.abc import Callable

import pytest

from events import Database
from tests.events.stack import Stack
from tests.events.stopping_relay import EACH, STEPS
from tests.servers import Process, Valkey, wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_a_relay_that_is_killed_at_any_step_loses_nothing_and_doubles_nothing(
    any_database: Database, valkey_url: str, make_stack: Callable[[Database, str], Stack]
) -> None:
    stack = make_stack(any_database, valkey_url)
    relays = Process([sys.executable, "-m", "tests.events.stopping_relay"], stack.home, stack.env)
    relays.launch()
    wait_until(lambda: not relays.running(), within=60, what="a relay killed at each step")
    assert relays.exit_code == 0, relays.log()

    stack.relay(LEASE="1")
    stack.work("pings")

    everything = Counter(range(len(STEPS) * EACH))
    wait_until(lambda: stack.states("pings.answer_ping") == {"done": len(everything)}, within=40, what="every ping answered")
    assert stack.effects("answered") == everything


def test_a_broker_that_is_flushed_empty_loses_nothing(stack: Stack, valkey: Valkey) -> None:
    stack.ping(*range(50))
    stack.relay(LEASE="1")
    with valkey.client() as client:
        wait_until(lambda: client.llen("pings") > 0, what="messages on the broker")
        client.flushall()
    stack.work("pings")

    wait_until(lambda: stack.states("pings.answer_ping") == {"done": 50}, within=40, what="every ping answered")
    assert stack.effects("answered") == Counter(range(50))
