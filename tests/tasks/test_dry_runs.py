"""Dry runs of the services, each in a process: what is listed is what a real run does then."""

from typing import Any

import pytest
from sqlalchemy import select

from events import Base, reading, transaction
from events.admin import replays
from events.dry_runs.outside import UnknownAnswer
from events.testing import Bus
from tasks.dry_runs import dry_run
from tests.tasks.builders import placed

OF_A_RUN = {"attempts", "charge_id"}  # of the sandbox, and what only the real call answers


def dead(bus: Bus, queue: str) -> str:
    """Return the id of the only dead letter of a queue."""
    [row] = [each for each in bus.deliveries() if (each.queue, each.state) == (queue, "dead")]
    return row.id


def rows(table: str) -> list[dict[str, Any]]:
    with reading() as session:
        found = session.execute(select(Base.metadata.tables[table])).mappings()
        return sorted((dict(row) for row in found), key=repr)


@pytest.fixture
def letter(any_bus: Bus) -> str:
    """A charge that died of an error of the gateway that is over."""
    any_bus.fail_fast = False
    placed("tok_broken", MUG=1)
    for _ in range(12):
        any_bus.advance(3600)
    return dead(any_bus, "payment")


def test_a_dry_run_lists_rows_events_and_calls_and_a_real_run_does_the_same(
    letter: str, any_bus: Bus
) -> None:
    before = {name: rows(name) for name in ("charges", "events", "sandbox_charges", "deliveries")}
    [result] = dry_run([letter])

    assert {name: rows(name) for name in before} == before
    assert (result.outcome, result.error, result.statements) == ("handled", None, [])
    [call] = result.calls
    assert (call.service, call.method, call.answer, call.answers) == (
        *("payments", "charge", "charged", ["charged", "declined"]),
    )
    assert (call.arguments["key"], call.arguments["token"]) == (letter, "tok_broken")
    [row] = result.rows
    assert (row.table, row.change) == ("charges", "insert")
    [event] = result.events
    assert event.type == "payment.charged"
    assert "orders.payment_charged" in event.subscriptions

    with transaction() as session:  # the card is mended
        session.execute(
            Base.metadata.tables["sandbox_charges"].update().values(token="tok_ok", attempts=0)
        )
        replays.start(session, who="ada", why="mended", ids=[letter])
    any_bus.drain()
    [charge] = rows("charges")
    told = {each.name: each.then for each in row.columns}
    assert {name for name in charge if charge[name] != told[name]} <= OF_A_RUN
    assert [each.type for each in any_bus.published].count("payment.charged") == 1


def test_another_answer_leads_to_another_event(letter: str, any_bus: Bus) -> None:
    [result] = dry_run([letter], answer="declined")

    assert [each.type for each in result.events] == ["payment.failed"]
    with pytest.raises(UnknownAnswer, match="no answer 'maybe'; there are: charged, declined"):
        dry_run([letter], answer="maybe")


def test_a_mail_is_not_sent_by_a_dry_run(any_bus: Bus, mail_server: Any) -> None:
    any_bus.fail_fast = False
    placed("tok_ok", MUG=1)
    any_bus.drain()
    mails = [row for row in any_bus.deliveries() if row.queue == "email"]
    mail_server.empty()
    with transaction() as session:
        for row in mails:
            session.merge(row).state = "dead"
        session.execute(Base.metadata.tables["mails"].delete())
    results = dry_run([row.id for row in mails])

    assert {result.outcome for result in results} == {"handled"}, results
    assert {call.service for result in results for call in result.calls} == {"mailer"}
    assert all("To" in str(call.arguments) for result in results for call in result.calls)
    assert mail_server.mails == []
    assert {row.state for row in any_bus.deliveries() if row.queue == "email"} == {"dead"}
