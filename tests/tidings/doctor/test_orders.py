"""Orders that are stuck are a finding of the doctor until a person cancels them."""

from events import Database, transaction
from events.admin import dead_letters
from events.testing import Bus
from tests.tasks.builders import cancelled, placed, stocked
from tests.tasks.conftest import services
from tidings.doctor import orders


def _findings() -> list[str]:
    with transaction() as session:
        return [each.message for each in orders.check(session) if each.level == "problem"]


def test_an_order_whose_step_was_discarded_is_a_problem(database: Database) -> None:
    with Bus(subscriptions=services(), fail_fast=False) as bus:
        with transaction() as session:
            stocked(session, MUG=1)
        order = placed("tok_broken", MUG=1)
        for _ in range(12):
            bus.advance(600)
        assert _findings() == []

        dead_letters.discard(who="ada", why="test", everything=True)
        [finding] = _findings()
        assert order.number in finding

        cancelled(order)
        bus.drain()
        assert _findings() == []
