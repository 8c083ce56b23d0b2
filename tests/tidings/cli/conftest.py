"""An order with a dead letter, for the commands that show and settle it."""

import pytest

from events import Database
from events.testing import Bus
from tests.tasks.builders import placed
from tests.tidings.cli.calls import DAY, HOUR, answered
from tests.worlds import Worlds
from tidings import migrations

migrations.load_tables()  # the commands use the tables of every part


@pytest.fixture
def number(bus: Bus, database: Database, worlds: Worlds) -> str:
    """The number of an order whose card fails for ever: its charge is a dead letter."""
    return _order_with_a_dead_charge(bus, database, worlds)


@pytest.fixture
def letter(number: str) -> str:
    """The id of that dead letter."""
    [only] = answered("dead-letters", "list")
    return str(only["id"])


@pytest.fixture
def dead(bus: Bus, database: Database, worlds: Worlds) -> str:
    """The number of an order whose charge died a hundred days ago."""
    number = _order_with_a_dead_charge(bus, database, worlds)
    for _ in range(100):
        bus.advance(DAY)
    return number


def _order_with_a_dead_charge(bus: Bus, database: Database, worlds: Worlds) -> str:
    bus.fail_fast = False
    began = bus.clock()

    def charge_in_vain() -> tuple[str, float]:
        order = placed("tok_broken", MUG=1)
        bus.drain()
        for _ in range(20):
            bus.advance(HOUR)  # the reservation of its stock must not expire
        return order.number, (bus.clock() - began).total_seconds()

    number, passed = worlds.enter("a dead charge", database, charge_in_vain)
    bus.clock.advance(max(0.0, passed - (bus.clock() - began).total_seconds()))
    return number
