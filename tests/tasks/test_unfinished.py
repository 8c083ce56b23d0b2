"""Orders that nothing moves any more: they are found, by the doctor too, until a person ends them."""

from events import transaction
from events.admin import dead_letters
from events.testing import Bus
from tests.tasks.builders import cancelled, found, placed
from tidings.doctor.examination import _orders


def complaints() -> list[str]:
    """What the doctor says of orders."""
    with transaction() as session:
        return [each.told for each in _orders(session)]


def test_an_order_whose_step_was_discarded_is_found_until_it_is_cancelled(any_bus: Bus) -> None:
    any_bus.fail_fast = False
    order = placed("tok_broken", MUG=1)
    assert complaints() == []  # its event is not relayed yet
    for _ in range(12):
        any_bus.advance(600)
        assert (
            complaints() == []
        )  # it is tried again, and in the end waits at a dead letter, where a person sees it

    with transaction() as session:
        assert dead_letters.discard(session, who="ada", everything=True) == 1
    assert complaints() == [f"nothing moves {order.number} any more"]

    cancelled(order)
    any_bus.drain()
    assert complaints() == []
    assert (found(order).status, found(order).stock) == ("cancelled", "released")


def test_orders_that_ended_are_not_found(any_bus: Bus) -> None:
    placed(MUG=1)
    placed("tok_declined", MUG=1)
    any_bus.drain()

    assert complaints() == []
