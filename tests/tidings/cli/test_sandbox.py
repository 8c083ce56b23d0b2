"""`tidings sandbox`."""

from events.testing import Bus
from tests.tasks.builders import found, placed
from tests.tidings.cli.calls import DAY, told


def test_a_gateway_is_broken_and_restored_for_all_processes(bus: Bus):
    bus.fail_fast = False
    assert told("sandbox", "payment") == "the payment sandbox is up\n"
    told("sandbox", "payment", "--down")
    order = placed(MUG=1)
    bus.drain()
    assert found(order).payment == "waiting"
    assert told("sandbox", "payment") == "the payment sandbox is down\n"

    told("sandbox", "payment", "--up")
    bus.advance(DAY)

    assert found(order).payment == "charged"
