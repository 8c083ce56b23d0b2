"""The triage of groups of dead letters: its states, its values, and groups that regress."""

import pytest
from pydantic import ValidationError

from events import reading, transaction
from events.admin import audit, dead_letters, erasure, triage
from events.admin.person import find
from events.admin.triage import Triage, TriageChange
from events.errors import ReasonMissing, UnknownGroup
from events.testing import Bus
from tests.tasks.builders import placed
from tests.tasks.test_dead_letter_report import report
from tests.tasks.test_impact import CHARGE, dead

CAUSE = "ValueError: no"


def change(cause: str = CAUSE, why: str = "test", **values: str) -> None:
    with transaction() as session:
        triage.change(session, CHARGE, cause, TriageChange(**values), who="ada", why=why)


def shown() -> Triage:
    with reading() as session:
        [found] = triage.of_groups(session, dead_letters.groups(session))
        return found


def test_a_group_is_open_until_somebody_says_otherwise(any_bus: Bus) -> None:
    dead(CHARGE, placed(MUG=1))
    assert shown() == Triage()

    change(state="on hold", owner="ines", note="bank closed", link="https://t.example/4718?a=1")

    found = shown()
    assert (found.state, found.owner, found.note) == ("on hold", "ines", "bank closed")
    assert (found.link, found.changed_by) == ("https://t.example/4718?a=1", "ada")
    change(owner="")
    assert (shown().owner, shown().note, shown().state) == ("", "bank closed", "on hold")


@pytest.mark.parametrize("values", [{"state": "fixed", "version": "2.1"}, {"state": "closed"}])
def test_a_group_that_was_settled_and_dies_again_has_regressed(
    any_bus: Bus, values: dict[str, str]
) -> None:
    dead(CHARGE, placed(MUG=1))
    change(**values)
    assert shown().state == values["state"]

    any_bus.clock.advance(1)
    dead(CHARGE, placed(MUG=1))

    assert (shown().state, shown().version) == ("regressed", values.get("version", ""))
    change(state="open")
    assert (shown().state, shown().version) == ("open", "")


def test_deaths_that_were_known_when_a_group_was_settled_are_no_recurrence(bus: Bus) -> None:
    bus.clock.advance(60)  # the clock of the worker is ahead
    dead(CHARGE, placed(MUG=1))
    bus.clock.advance(-60)
    change(state="closed")

    assert shown().state == "closed"


def test_a_group_on_hold_that_goes_on_dying_stays_on_hold(bus: Bus) -> None:
    dead(CHARGE, placed(MUG=1))
    change(state="on hold")
    bus.clock.advance(1)
    dead(CHARGE, placed(MUG=1))

    assert shown().state == "on hold"


def test_each_change_is_audited_with_its_values_and_needs_a_reason(bus: Bus) -> None:
    dead(CHARGE, placed(MUG=1))
    with pytest.raises(ReasonMissing):
        change(why=" ", owner="ines")
    assert shown() == Triage()

    change(why="she knows the bank", owner="ines")

    with reading() as session:
        [line] = audit.listed(session)
    assert (line.action, line.parameters) == ("triage", {"owner": "ines"})
    assert CHARGE in line.target
    assert CAUSE in line.target


def test_a_group_that_nobody_knows_is_refused(any_bus: Bus) -> None:
    with pytest.raises(UnknownGroup, match="dead-letters list --group"):
        change("nothing", owner="ines")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"state": "fixed"},
        {"version": "2.1"},
        {"state": "open", "version": "2.1"},
        {"state": "regressed"},
        {"note": "a\x9bb"},
        {"owner": "x" * 101},
        *(
            {"link": link}
            for link in (
                *("javascript:alert(1)", "//t.example", "https://", "t.example/1", "http://[x"),
                *("https://user:secret@t.example", "ftp://t.example", "https://a b.example"),
            )
        ),
    ],
)
def test_a_wrong_value_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        TriageChange.model_validate(values)


def test_a_report_tells_the_triage(bus: Bus) -> None:
    dead(CHARGE, placed(MUG=1))
    change(state="fixed", version="2.1", link="https://t.example/1")

    assert "- state: fixed, `2.1`\n- link: `https://t.example/1`\n" in report(CAUSE)


def test_an_erased_address_goes_from_the_note_too(bus: Bus) -> None:
    dead(CHARGE, placed(MUG=1))
    change(note="ask ada@example.org")
    with reading() as session:
        person = find(session, "ada@example.org")

    erasure.erase(person, who="me", why="a letter")

    assert shown().note == "ask erased"
