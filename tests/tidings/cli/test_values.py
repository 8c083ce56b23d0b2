"""The values of options, and the texts of strangers that the commands print."""

import json

import pytest

from events import publish, transaction
from events.testing import Bus
from tests.tasks.builders import order_created, placed
from tests.tidings.cli.calls import WHY, audited, call, told

CHARGE = "payment.charge_order"


@pytest.mark.parametrize(
    "words",
    [
        ("events", "list", "--limit", "1_0"),
        ("events", "list", "--limit", "\uff11"),
        ("dead-letters", "list", "--limit", "1_0"),
        ("prune", "--dead-after", "1_0"),
        ("demo", "--orders", "1_0"),
        ("up", "--port", "8_000"),
        ("catalog", "--version", "\uff11"),
        ("chaos", "--seed", "1_0"),
        ("chaos", "--minutes", "1_0"),
        ("demo", "--wait", "\uff11"),
        ("up", "--scale", "payment=\uff11"),
        ("up", "--scale", "payment=1", "--scale", "payment=3"),
        ("pause", CHARGE, "--why", "a\u202eb"),
        ("pause", CHARGE, "--why", "x" * 201),
    ],
)
def test_a_value_that_breaks_its_rule_is_wrong_usage(words: tuple[str, ...]):
    result = call(*words)

    assert result.exit_code == 2, result.output
    assert "write " in result.output or "plain text" in result.output


@pytest.mark.parametrize(
    "words", [("events", "show", "\udcff"), ("pause", CHARGE, "--why", "caf\udce9")]
)
def test_an_argument_that_is_no_utf_8_is_wrong_usage(words: tuple[str, ...]):
    result = call(*words)

    assert (result.exit_code, "is no UTF-8" in result.output) == (2, True)


@pytest.mark.parametrize("typed", ["1001", "ord-1001", " ORD-1001"])
def test_an_order_is_found_however_its_number_is_typed(bus: Bus, typed: str):
    placed()

    assert "order.created" in told("events", "show", typed)
    assert "ORD-1001" in told("events", "list", "--subject", typed)


def test_what_strangers_wrote_is_printed_with_escapes(bus: Bus):
    event = order_created("o-1", MUG=1).model_copy(update={"customer": "Eve\x9b2J\u202e"})
    with transaction() as session:
        publish(session, event, subject="ORD-9999")
    nasty = {"\x9b", "\u202e"}

    shown, listed = told("events", "show", "9999"), told("events", "show", "9999", "--json")

    assert not nasty & {*shown, *listed}
    assert "Eve\\u009b2J\\u202e" in shown
    assert json.loads(listed)[0]["event"]["data"]["customer"] == "Eve\x9b2J\u202e"
    assert "\x9b" not in call("events", "show", "a\x9bb").output


def test_a_replay_that_selects_nothing_says_so_fails_and_is_not_audited(bus: Bus):
    for act in ("replay", "discard"):
        for selection in (("--queue", "payment"), ("--fingerprint", "nothing"), ("--all",)):
            result = call("dead-letters", act, *selection, "--why", "test")
            assert result.exit_code == 4
            assert result.stderr.startswith("no dead letter ")
            assert result.stderr.endswith("; nothing was changed\n")
    assert audited() == []


def test_a_pause_or_a_resumption_that_changes_nothing_says_so(bus: Bus):
    assert call("pause", "nobody.listens", *WHY).exit_code == 1
    assert call("resume", CHARGE, *WHY).exit_code == 4
    assert told("pause", CHARGE, "--why", "bank holiday")
    again = call("pause", CHARGE, *WHY)

    assert again.exit_code == 4
    assert again.stderr == f"{CHARGE} is paused already; nothing was changed\n"
    assert audited() == [("pause", CHARGE, "bank holiday")]
