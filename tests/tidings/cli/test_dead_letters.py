"""`tidings dead-letters`, on a charge that always fails."""

import getpass
import json

import pytest

from events import reading
from events.admin import audit
from events.testing import Bus
from tests.tidings.cli.calls import WHY, answered, audited, call, told


def test_dead_letters_are_listed_as_a_table_as_json_and_in_groups(number: str, letter: str):
    [group] = answered("dead-letters", "list", "--group")

    assert letter in told("dead-letters", "list")
    assert (group["count"], group["subscription"]) == (1, "payment.charge_order")
    assert (group["impact"]["orders"], group["impact"]["oldest"]) == (1, number)
    [money] = group["impact"]["money"]
    assert (money["currency"], money["amount"] > 0) == ("EUR", True)
    assert "€" in told("dead-letters", "list", "--group")
    assert group["fingerprint"] in told("dead-letters", "list", "--group")
    assert answered("dead-letters", "list", "--queue", "email") == []


def test_a_dead_letter_is_shown_with_every_attempt(letter: str):
    shown = answered("dead-letters", "show", letter)

    assert shown["attempts"] == len(shown["failed_attempts"]) > 1
    assert "Traceback" in told("dead-letters", "show", letter)


def test_an_unknown_dead_letter_is_one_line_and_exit_code_1(bus: Bus):
    result = call("dead-letters", "show", "nonsense")

    assert result.exit_code == 1
    assert (
        result.stderr
        == "Error: no dead letter has the id 'nonsense'; `tidings dead-letters list` shows them\n"
    )


def test_a_replayed_dead_letter_is_tried_again_and_the_audit_has_the_operator_and_the_reason(
    bus: Bus, letter: str
):
    assert "has begun: 1 dead letter;" in told(
        "dead-letters", "replay", letter, "--why", "the bank is back"
    )

    assert answered("dead-letters", "list") == []
    with reading() as session:
        [line] = [row for row in audit.listed(session) if row.action == "replay"]
    assert (line.target, line.why) == (letter, "the bank is back")
    assert line.who.startswith(f"{getpass.getuser()}@")


def test_discarding_by_filter_gives_all_that_fit_up(bus: Bus, letter: str):
    discarded = told("dead-letters", "discard", "--queue", "payment", *WHY)
    assert discarded == "discarded: 1 dead letter\n"
    assert ("discard", "dead letters of queue payment", "test") in audited()


@pytest.mark.parametrize("words", [(), ("some-id", "--all"), ("--all", "--queue", "payment")])
def test_replay_needs_exactly_one_kind_of_selection(bus: Bus, words: tuple[str, ...]):
    result = call("dead-letters", "replay", *words)

    assert result.exit_code == 2
    assert "select dead letters" in result.stderr


def test_dead_letters_are_exported_as_lines_and_a_group_as_a_report(letter: str):
    [group] = answered("dead-letters", "list", "--group")
    which = ("--subscription", group["subscription"], "--fingerprint", group["fingerprint"])

    assert json.loads(told("dead-letters", "export"))["id"] == letter
    assert (
        told("dead-letters", "export", "--format", "csv", *which).splitlines()[1].startswith(letter)
    )
    assert told("dead-letters", "export", "--format", "markdown", *which).startswith("# `")
    refused = call("dead-letters", "export", "--format", "markdown")
    assert (refused.exit_code, "give --subscription" in refused.stderr) == (2, True)
    unknown = ("--subscription", "a", "--fingerprint", "b")
    assert call("dead-letters", "export", "--format", "markdown", *unknown).exit_code == 1
