"""`tidings orders` and `tidings trace`: where an order is, and where its time went."""

from events.testing import Bus
from tests.tasks.builders import placed
from tests.tidings.cli.calls import answered, call, told


def test_the_orders_are_listed_and_the_stuck_ones_with_what_they_wait_for(bus: Bus, number: str):
    [row] = answered("orders", "list")
    [stuck] = answered("orders", "stuck")
    [wait] = stuck["waits"]
    text = told("orders", "stuck")

    assert (row["number"], row["status"], stuck["number"]) == (number, "placed", number)
    assert (wait["what"], wait["person"], stuck["person"]) == ("payment.charge_order", True, True)
    assert "it is a dead letter, GatewayError" in wait["waits_for"]
    assert "it is a dead letter, GatewayError" in text
    assert number in told("orders", "list")


def test_a_trace_stands_on_one_axis_with_its_critical_path(bus: Bus, number: str):
    order = answered("orders", "list")[0]
    found = answered("trace", number)
    text = told("trace", number)
    [line] = [each for each in text.splitlines() if "- payment.charge_order" in each]

    assert answered("trace", order["id"])["id"] == answered("trace", number.lower())["id"]
    assert found["critical_path"][-1]["kind"] == "dead"
    assert "waits for a person: it is a dead letter" in text
    assert line.startswith("*")
    assert "x" in line.split()[4]
    assert line.split()[4].endswith("!")
    assert "cut short" in text


def test_more_than_are_looked_at_is_told(bus: Bus):
    placed(MUG=1)
    placed(MUG=1)

    assert "give a larger --limit" in call("orders", "stuck", "--limit", "1").stderr


def test_an_order_that_is_none_is_an_error_with_what_to_do(bus: Bus):
    result = call("trace", "ORD-9\x1b[31m")

    assert result.exit_code == 1
    assert "no order has the number or the id" in result.stderr
    assert "tidings orders list" in result.stderr
    assert "\x1b" not in result.stderr
    assert call("orders", "stuck", "--limit", "0").exit_code == 2
