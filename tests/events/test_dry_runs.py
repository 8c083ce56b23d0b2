"""Dry runs in a process: what is listed, what is refused, and that nothing is left behind."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from events import Base, Database, reading, subscriptions, transaction
from events.dry_runs import process
from events.dry_runs.result import DryRun
from events.testing import Bus
from tests import forked
from tests.events.dry_run_handlers.handlers import ECHOED, HANDLERS, Note
from tests.events.sample import deliveries, note

PACKAGE = "tests.events.dry_run_handlers"


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    """A bus that has delivered one event to all the handlers, with none of them run."""
    theirs = [subscriptions.subscription(f"dry.{each.__name__}") for each in HANDLERS]
    with Bus(subscriptions=theirs, fail_fast=False) as bus:
        with transaction() as session:
            for name, count in (("one", 1), ("old", 3), ("gone", 4), ("kept", 4), ("raw", 4)):
                session.add(Note(name=name, count=count))
        note("a")
        bus.send_due()
        yield bus


@pytest.fixture(autouse=True)
def _in_the_process_of_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "execute", forked.start_dry_run)


def dry_run(*handlers: str) -> list[DryRun]:
    return process.run([letter(each) for each in handlers], package=PACKAGE)


def letter(handler: str) -> str:
    [row] = deliveries(f"dry.{handler}")
    return row.id


def everything() -> dict[str, list[Any]]:
    """Return all rows of all tables that exist."""
    with reading() as session:
        return {
            table.name: sorted(map(tuple, session.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


def test_rows_events_and_statements_are_listed_as_a_real_run_changes_them(bus: Bus) -> None:
    before = everything()
    [result] = dry_run("write")
    assert everything() == before
    assert (result.outcome, result.error) == ("handled", None)
    notes = {
        row.key["name"]: (row.change, {each.name: (each.now, each.then) for each in row.columns})
        for row in result.rows
        if row.table == "sample_notes"
    }
    marks = [row for row in result.rows if row.table == "sample_marks"]
    assert notes == {
        "one": ("update", {"count": (1, 11)}),
        "locked": ("insert", {"name": (None, "locked"), "count": (None, 1)}),
        "absent": ("insert", {"name": (None, "absent"), "count": (None, 1)}),
        "gone": ("delete", {"name": ("gone", None), "count": (4, None)}),
        "kept": ("update", {"count": (4, 5)}),
    }
    assert {(row.change, row.columns[-1].then) for row in marks} == {
        *(("insert", "by the ORM"), ("insert", "by a statement")),
    }
    assert result.statements == ["UPDATE sample_notes SET count = 9 WHERE name = 'raw'"]
    assert [(each.type, each.data["text"]) for each in result.events] == [
        *(("sample.replied", "published"), ("sample.replied", "returned")),
    ]


def test_a_real_run_changes_what_the_dry_run_has_listed(bus: Bus) -> None:
    only = subscriptions.subscription("dry.write")
    with Bus(subscriptions=[only]) as real:
        real.transport.ready = [each for each in bus.sent if each.subscription == only.name]
        real.drain()
    with reading() as session:
        found = {row.name: row.count for row in session.scalars(select(Note))}
    assert found == {"one": 11, "old": 3, "kept": 5, "raw": 9, "locked": 1, "absent": 1}
    assert len(everything()["sample_marks"]) == 2


def test_texts_are_told_as_they_are_whatever_the_locale(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    results = dry_run("echo", "talk")

    assert [each.outcome for each in results] == ["handled", "handled"]
    assert [each.data["text"] for each in results[0].events] == [ECHOED]


REFUSED = {
    "commit": "a handler must not commit",
    "own_transaction": "a dry run commits nothing",
    "connect": "socket.connect was refused",
    "start_process": "subprocess.Popen was refused",
}


def test_what_a_dry_run_must_not_do_is_refused_by_name_and_leaves_nothing(bus: Bus) -> None:
    before = everything()
    talked, *refused, crashed = dry_run("talk", *REFUSED, "crash")

    assert talked.outcome == "handled"  # what it printed is no result
    assert {each.outcome for each in refused} == {"failed"}
    for each, words in zip(refused, REFUSED.values(), strict=True):
        assert words in str(each.error)
    assert (crashed.outcome, "ended by SIGSEGV" in str(crashed.error)) == ("ended", True)
    assert everything() == before


def test_a_handler_may_use_savepoints(bus: Bus) -> None:
    [result] = dry_run("use_savepoint")

    assert (result.outcome, result.error) == ("handled", None)
    assert [row.columns[-1].then for row in result.rows] == ["kept"]


def test_an_error_that_cannot_be_formatted_is_told(bus: Bus) -> None:
    [result] = dry_run("misspell")

    assert (result.outcome, result.error) == ("failed", "SyntaxError: bad (f)")
    assert "in misspell" in str(result.traceback)


def test_a_handler_that_hangs_is_ended_before_writers_wait_long(bus: Bus) -> None:
    before, began = everything(), time.monotonic()
    [result] = dry_run("hang")

    assert result.outcome == "ended"
    assert result.error == "the handler took longer than 2 s and was ended; nothing was changed"
    assert time.monotonic() - began < process.TIME_LIMIT
    assert everything() == before


def test_a_handler_that_this_version_does_not_have_and_an_unknown_delivery_are_named(
    bus: Bus,
) -> None:
    ids = [letter("talk"), letter("talk").replace("dry.talk", "dry.nothing")]
    [missing, other] = process.run(ids, package="tasks", skip={"celery"})

    assert (missing.outcome, other.outcome) == ("failed", "failed")
    assert "no subscription is called 'dry.talk'" in str(missing.error)
    assert "no dead letter has the id" in str(other.error)
    with pytest.raises(ValueError, match="1 to 20 deliveries"):
        process.run([], package="tasks")
