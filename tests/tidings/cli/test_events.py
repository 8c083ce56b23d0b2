"""`tidings events`, on an order with a dead letter."""

from events.testing import Bus
from tests.tidings.cli.calls import answered, call, told


def test_the_log_is_listed_newest_first_and_as_cloudevents(number: str):
    listed = answered("events", "list", "--subject", number)

    assert listed[-1]["type"] == "order.created"
    assert listed[-1]["specversion"] == "1.0"
    assert [each["type"] for each in answered("events", "list", "--type", "delivery.dead")] == [
        "delivery.dead"
    ]
    assert number in told("events", "list")


def test_an_order_is_shown_with_what_each_handler_made_of_it(number: str):
    [created] = [
        each
        for each in answered("events", "show", number)
        if each["event"]["type"] == "order.created"
    ]
    states = {row["subscription"]: row["state"] for row in created["deliveries"]}

    failed = {row["subscription"]: row["failed_attempts"] for row in created["deliveries"]}

    assert states["payment.charge_order"] == "dead"
    assert failed["payment.charge_order"][0]["number"] == 1
    assert failed["inventory.reserve_stock"] == []
    assert states["inventory.reserve_stock"] == "done"
    assert "payment.charge_order" in told("events", "show", created["event"]["id"])


def test_what_the_log_does_not_know_is_one_line_and_exit_code_1(bus: Bus):
    result = call("events", "show", "ORD-9")

    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "ORD-9" in result.stderr
