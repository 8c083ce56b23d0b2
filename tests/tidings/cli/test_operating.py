"""The commands an operator uses on a running shop: its real services, on a real database, with a real dead letter."""

import getpass

import pytest

from events import Database, reading, transaction
from events.admin import audit, subscriptions
from events.testing import Bus
from tests.tasks.builders import found, placed
from tests.tidings.cli.calls import answered, call, told

DAY = 24 * 3600.0


@pytest.fixture
def number(bus: Bus) -> str:
    """The number of an order whose card fails for ever: its charge is a dead letter."""
    order = placed("tok_broken", MUG=1)
    bus.drain()
    for _ in range(20):
        bus.advance(DAY)
    return order.number


@pytest.fixture
def letter(number: str) -> str:
    """The id of that dead letter."""
    [only] = answered("dead-letters", "list")
    return str(only["id"])


def audited() -> list[tuple[str, str, str]]:
    with reading() as session:
        return [(row.action, row.target, row.why) for row in audit.listed(session)]


def test_queues_shows_what_is_dead(number: str):
    rows = {row["name"]: row for row in answered("queues")}

    assert rows["payment"]["dead"] == 1
    assert rows["payment"]["workers"] == 0
    assert "payment" in told("queues")


def test_dead_letters_are_listed_in_words_in_json_and_in_groups(number: str, letter: str):
    [group] = answered("dead-letters", "list", "--group")

    assert letter in told("dead-letters", "list")
    assert (group["count"], group["subscription"]) == (1, "payment.charge_order")
    assert group["fingerprint"] in told("dead-letters", "list", "--group")
    assert answered("dead-letters", "list", "--queue", "email") == []


def test_a_dead_letter_is_shown_with_every_try(letter: str):
    shown = answered("dead-letters", "show", letter)

    assert shown["attempts"] == len(shown["tries"]) > 1
    assert "Traceback" in told("dead-letters", "show", letter)


def test_an_unknown_dead_letter_is_one_line_and_exit_code_1(bus: Bus):
    result = call("dead-letters", "show", "nonsense")

    assert result.exit_code == 1
    assert (
        result.stderr
        == "Error: no dead letter has the id 'nonsense'; `tidings dead-letters list` shows them\n"
    )


def test_a_replayed_dead_letter_is_tried_again_and_the_audit_says_who_and_why(
    bus: Bus, letter: str
):
    assert (
        told("dead-letters", "replay", letter, "--why", "the bank is back")
        == "sent again: 1 dead letter\n"
    )

    assert answered("dead-letters", "list") == []
    with reading() as session:
        [line] = [row for row in audit.listed(session) if row.action == "replay"]
    assert (line.target, line.why) == (letter, "the bank is back")
    assert line.who.startswith(f"{getpass.getuser()}@")


def test_discarding_by_filter_gives_all_that_fit_up(bus: Bus, letter: str):
    assert told("dead-letters", "discard", "--queue", "payment") == "given up: 1 dead letter\n"
    assert ("discard", letter, "") in audited()


@pytest.mark.parametrize("words", [(), ("some-id", "--all"), ("--all", "--queue", "payment")])
def test_replay_wants_to_be_told_exactly_which(bus: Bus, words: tuple[str, ...]):
    result = call("dead-letters", "replay", *words)

    assert result.exit_code == 2
    assert "say which ones" in result.stderr


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

    assert states["payment.charge_order"] == "dead"
    assert states["inventory.reserve_stock"] == "done"
    assert "payment.charge_order" in told("events", "show", created["event"]["id"])


def test_what_the_log_does_not_know_is_one_line_and_exit_code_1(bus: Bus):
    result = call("events", "show", "ORD-9")

    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "ORD-9" in result.stderr


def test_a_paused_subscription_keeps_its_backlog_until_it_is_resumed(bus: Bus):
    told("pause", "payment.charge_order", "--why", "the bank moves house")
    order = placed(MUG=1)
    bus.drain()
    assert found(order).payment == "waiting"
    assert "the bank moves house" in told("subscriptions", "list")

    told("resume", "payment.charge_order")
    bus.drain()

    assert found(order).payment == "charged"
    assert [entry[:2] for entry in audited()] == [
        ("resume", "payment.charge_order"),
        ("pause", "payment.charge_order"),
    ]


def test_pausing_what_nobody_registered_names_what_there_is(bus: Bus):
    result = call("pause", "payment.charge")

    assert result.exit_code == 1
    assert "payment.charge_order" in result.stderr


def test_a_subscription_is_forgotten_only_after_a_yes(bus: Bus):
    assert call("subscriptions", "remove", "email.confirm_receipt", input="n\n").exit_code == 1
    assert "email.confirm_receipt" in told("subscriptions")

    told("subscriptions", "remove", "email.confirm_receipt", "--yes", "--why", "no more receipts")

    assert "email.confirm_receipt" not in [row["name"] for row in answered("subscriptions", "list")]


def test_backfill_gives_a_new_subscription_the_past(bus: Bus):
    told("subscriptions", "remove", "timeline.tell", "--yes")
    placed(MUG=1)
    bus.drain()
    with transaction() as session:
        subscriptions.register(session, bus.subscriptions.values())

    assert told("backfill", "timeline.tell") != "timeline.tell is given 0 events of the past\n"
    assert told("backfill", "timeline.tell") == "timeline.tell is given 0 events of the past\n"


def test_a_gateway_is_broken_and_mended_for_all_processes(bus: Bus):
    assert told("sandbox", "payment") == "the payment sandbox is up\n"
    told("sandbox", "payment", "--down")
    order = placed(MUG=1)
    bus.drain()
    assert found(order).payment == "waiting"
    assert told("sandbox", "payment") == "the payment sandbox is down\n"

    told("sandbox", "payment", "--up")
    bus.advance(DAY)

    assert found(order).payment == "charged"


def test_markup_of_a_customer_is_printed_as_it_is(bus: Bus):
    told("pause", "payment.charge_order", "--why", "[red]stop[/red]")

    assert "[red]stop[/red]" in told("subscriptions", "list")


def test_a_database_without_tables_is_told_in_one_line_with_what_to_do(
    tmp_path, monkeypatch: pytest.MonkeyPatch
):
    empty = Database(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    monkeypatch.setattr("events.database._database", empty)

    result = call("queues")
    empty.close()

    assert result.exit_code == 1
    assert result.stderr.endswith("; has `tidings migrate` run?\n")
