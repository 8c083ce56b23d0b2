"""An order with a dead letter, for the commands that show and settle it."""

import pytest

from events.testing import Bus
from tests.tasks.builders import placed
from tests.tidings.cli.calls import DAY, HOUR, answered
from tidings import migrations

migrations.load_tables()  # the commands use the tables of every part


@pytest.fixture
def number(bus: Bus) -> str:
    """The number of an order whose card fails for ever: its charge is a dead letter."""
    bus.fail_fast = False
    order = placed("tok_broken", MUG=1)
    bus.drain()
    for _ in range(20):
        bus.advance(HOUR)  # the reservation of its stock must not expire
    return order.number


@pytest.fixture
def letter(number: str) -> str:
    """The id of that dead letter."""
    [only] = answered("dead-letters", "list")
    return str(only["id"])


@pytest.fixture
def dead(bus: Bus) -> str:
    """The number of an order whose charge died a hundred days ago."""
    bus.fail_fast = False
    order = placed("tok_broken", MUG=1)
    bus.drain()
    for _ in range(20):
        bus.advance(HOUR)
    for _ in range(100):
        bus.advance(DAY)
    return order.number
