"""A relay killed at each step between log and broker loses no event and repeats no effect."""

from collections import Counter
from contextlib import suppress

import pytest
from kombu import Connection

from events.relay.window import MESSAGE_SIZE
from events.slots import MESSAGES
from tests.events.relay.stopping_relay import EACH, STEPS
from tests.events.stack import Stack
from tests.forked import BusProcess
from tests.servers import wait_until

pytestmark = [pytest.mark.system, pytest.mark.slow]


STACKS = pytest.mark.parametrize(
    ("any_database", "any_broker"),
    [("sqlite", "valkey"), ("postgres", "valkey"), ("postgres", "rabbitmq")],
    indirect=True,
)


@STACKS
def test_a_relay_that_is_killed_at_any_step_loses_nothing_and_doubles_nothing(
    any_stack: Stack,
) -> None:
    stack = any_stack
    relays = BusProcess(["tests.events.relay.stopping_relay"], stack.home, stack.env)
    relays.launch()
    wait_until(lambda: not relays.running(), what="a relay killed at each step")
    assert relays.exit_code == 0, relays.log()

    stack.relay(LEASE="1")
    stack.work("pings")

    everything = Counter(range(len(STEPS) * EACH))
    wait_until(
        lambda: stack.states("pings.answer_ping") == {"done": len(everything)},
        what="every ping answered",
    )
    assert stack.effects("answered") == everything


@STACKS
def test_a_broker_that_is_flushed_empty_loses_nothing(any_stack: Stack) -> None:
    window, backlog = MESSAGES * MESSAGE_SIZE, 20
    any_stack.ping(*range(window + backlog))
    any_stack.relay(LEASE="1")
    empty(any_stack.env["BROKER_URL"])
    any_stack.work("pings")

    wait_until(
        lambda: any_stack.states("pings.answer_ping") == {"done": window + backlog},
        what="every ping answered",
    )
    assert any_stack.effects("answered") == Counter(range(window + backlog))
    sends = Counter(row.sends for row in any_stack.deliveries("pings.answer_ping"))
    assert sends == {2: window, 1: backlog}


def empty(url: str) -> None:
    """Delete all messages of the queue once they have arrived."""
    with Connection(url) as connection:
        deleted = [0]

        def purge() -> bool:
            with suppress(*connection.channel_errors):  # the relay has not declared the queue yet
                deleted[0] += connection.channel().queue_purge("pings")
            return deleted[0] >= MESSAGES

        wait_until(purge, what="messages on the broker")
