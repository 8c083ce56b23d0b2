"""A broker that loses everything, its queue bindings included."""

from collections import Counter

import pytest

from tests.events.stack import Stack
from tests.servers import Valkey, wait_until

pytestmark = pytest.mark.system


def test_a_worker_hears_what_is_sent_after_the_broker_was_emptied(
    stack: Stack, valkey: Valkey
) -> None:
    stack.relay()
    stack.work("pings")
    stack.ping(1)
    wait_until(lambda: stack.effects("answered") == Counter([1]), what="the first ping's effect")

    valkey.empty()
    stack.ping(2)

    wait_until(
        lambda: stack.effects("answered") == Counter([1, 2]), what="the second ping's effect"
    )
