"""`tidings subscriptions`, `pause`, `resume` and `backfill`."""

from events import transaction
from events.admin import subscriptions
from events.testing import Bus
from tests.tasks.builders import found, placed
from tests.tidings.cli.calls import WHY, answered, audited, call, told


def test_a_paused_subscription_keeps_its_backlog_until_it_is_resumed(bus: Bus):
    told("pause", "payment.charge_order", "--why", "the bank moves house")
    order = placed(MUG=1)
    bus.drain()
    assert found(order).payment == "waiting"
    assert "the bank moves house" in told("subscriptions", "list")

    told("resume", "payment.charge_order", *WHY)
    bus.drain()

    assert found(order).payment == "charged"
    assert [entry[:2] for entry in audited()] == [
        ("resume", "payment.charge_order"),
        ("pause", "payment.charge_order"),
    ]


def test_pausing_an_unregistered_subscription_names_the_registered_ones(bus: Bus):
    result = call("pause", "payment.charge", *WHY)

    assert result.exit_code == 1
    assert "payment.charge_order" in result.stderr


def test_a_subscription_is_removed_only_after_a_yes(bus: Bus):
    refused = call("subscriptions", "remove", "email.confirm_receipt", *WHY, input="n\n")
    assert refused.exit_code == 1
    assert "email.confirm_receipt" in told("subscriptions")

    told("subscriptions", "remove", "email.confirm_receipt", "--yes", "--why", "no more receipts")

    assert "email.confirm_receipt" not in [row["name"] for row in answered("subscriptions", "list")]


def test_backfill_gives_a_new_subscription_the_past(bus: Bus):
    told("subscriptions", "remove", "timeline.tell", "--yes", *WHY)
    placed(MUG=1)
    bus.drain()
    with transaction() as session:
        subscriptions.register(session, bus.subscriptions.values())

    assert "replay 1 has begun: 1 earlier event; " in told(
        *("backfill", "timeline.tell", "--type", "order.created", "--rate", "5", *WHY)
    )
    assert call("backfill", "timeline.tell", *WHY).exit_code == 1  # the first is not over
    bus.drain()
    assert "has begun: " in told("backfill", "timeline.tell", *WHY)
    bus.drain()
    again = call("backfill", "timeline.tell", *WHY)
    assert again.exit_code == 4
    assert again.stderr.startswith("timeline.tell has every earlier event of its types already")


def test_markup_of_a_customer_is_printed_as_it_is(bus: Bus):
    told("pause", "payment.charge_order", "--why", "[red]stop[/red]")

    assert "[red]stop[/red]" in told("subscriptions", "list")
