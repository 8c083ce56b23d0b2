"""A relay and a worker on a Valkey that answers and refuses: they say why, wait and go on."""

from collections import Counter

import pytest

from events import heartbeat, reading
from tests.events.stack import Stack
from tests.events.transport.refusals import loading, out_of_memory, unable_to_save
from tests.servers import Valkey, wait_until

pytestmark = pytest.mark.system

# Each with words of the reason and the fix.
STATES = [
    (loading, "is loading the dataset", "it goes on by itself"),
    (unable_to_save, "MISCONF", "free its disk"),
    (out_of_memory, "maxmemory", "raise its maxmemory"),
]


def test_what_a_valkey_refuses_for_a_while_happens_once_when_it_takes_it_again(
    stack: Stack, valkey: Valkey
) -> None:
    relay, worker = stack.relay(LEASE="1.5"), stack.work("pings", LEASE="1.5")
    expected = Counter[int]()
    for number, (state, reason, fix) in enumerate(STATES):
        stack.ping(10 + number, deed="dawdle")  # acknowledged while Valkey refuses
        wait_until(lambda: _sent(stack), what="the relay to send the ping")
        with state(valkey):
            stack.ping(number)
            wait_until(
                lambda words=(reason, fix, "blocked"): all(each in _trouble() for each in words),
                what=f"the relay to say {reason}",
            )
        expected.update([number, 10 + number])
        wait_until(lambda: stack.effects("answered") == expected, what=f"the effect after {reason}")
        wait_until(lambda: not _trouble(), what="the relay to be well")

    assert (relay.running(), worker.running()) == (True, True)
    assert "Unrecoverable error" not in worker.log()


def _sent(stack: Stack) -> bool:
    return all(each.sent_at for each in stack.deliveries("pings.answer_ping"))


def _trouble() -> str:
    with reading() as session:
        relays = heartbeat.live_relays(session)
        states = {heartbeat.broker_state(each) for each in relays}
        return "; ".join([*(each.trouble or "" for each in relays), *states - {"up"}])
