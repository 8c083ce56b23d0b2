"""`tidings dead-letters dry-run`: what the handlers would do, in words and as JSON."""

from events.testing import Bus
from tests.tidings.cli.calls import answered, call, told


def test_a_dry_run_tells_rows_events_and_calls_and_leaves_the_dead_letter(bus: Bus, letter: str):
    text = told("dead-letters", "dry-run", letter)

    assert f"{letter} would be handled: 1 row, 1 event, 1 call" in text
    assert "insert charges" in text
    assert "publish payment.charged v1 about ORD-" in text
    assert "refused payments.charge" in text
    assert "went on with: charged" in text
    assert [each["id"] for each in answered("dead-letters", "list")] == [letter]


def test_a_sample_of_a_group_is_json_with_the_answer_that_was_chosen(bus: Bus, letter: str):
    [result] = answered("dead-letters", "dry-run", "--queue", "payment", "--answer", "declined")

    assert [each["type"] for each in result["events"]] == ["payment.failed"]
    wrong = call("dead-letters", "dry-run", letter, "--answer", "maybe")
    assert wrong.exit_code == 1
    assert "there is no answer 'maybe'; there are: charged, declined" in wrong.stderr


def test_a_selection_of_nothing_and_an_unknown_id_are_named(bus: Bus, letter: str):
    assert call("dead-letters", "dry-run").exit_code == 2
    assert call("dead-letters", "dry-run", "--queue", "nobody").exit_code == 4
    unknown = call("dead-letters", "dry-run", "nonsense")
    assert "no dead letter has the id 'nonsense'" in unknown.stderr
