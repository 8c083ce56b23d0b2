"""The test bus, and the plugin that gives its fixture to other projects."""

import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from events import Database, DeadLetter, Retry
from events.testing import Bus
from tests.events.sample import Noted, deliveries, mark, marks, new_subscription
from tests.servers import HANG

ROOT = Path(__file__).parents[2]


def mark_unless_bad(event: Noted, session: Session) -> None:
    if event.text == "bad":
        raise ValueError("cannot mark a bad note")
    mark(event, session)


def test_drain_raises_the_handlers_own_error_with_its_own_traceback(database: Database) -> None:
    with Bus(subscriptions=[new_subscription(mark_unless_bad)]) as bus:
        bus.publish(Noted(text="bad"))

        with pytest.raises(ValueError, match="cannot mark a bad note") as raised:
            bus.drain()

    frames = traceback.extract_tb(raised.value.__traceback__)
    assert frames[-1].name == "mark_unless_bad"


def test_an_error_is_recorded_before_it_is_raised_and_the_rest_is_handled_by_the_next_drain(
    database: Database,
) -> None:
    others = new_subscription(name="others.mark")
    with Bus(subscriptions=[new_subscription(mark_unless_bad), others]) as bus:
        bus.publish(Noted(text="a"), Noted(text="bad"), Noted(text="b"))
        with pytest.raises(ValueError, match="cannot mark"):
            bus.drain()
        assert marks() == {"a": 1, "b": 1}  # the neighbours in the message are handled

        bus.drain()

    assert marks() == {"a": 2, "bad": 1, "b": 2}
    assert [row.state for row in deliveries()] == ["done", "retrying", "done"]


def test_an_error_in_a_batch_is_raised_too(database: Database) -> None:
    with Bus(subscriptions=[new_subscription(mark_unless_bad, batch=10)]) as bus:
        bus.publish(Noted(text="a"), Noted(text="bad"))

        with pytest.raises(ValueError, match="cannot mark"):
            bus.drain()

    assert marks() == {"a": 1}


def test_a_dead_letter_and_the_error_of_a_call_are_raised_too(database: Database) -> None:
    def give_up(event: Noted, key: str) -> None:
        raise DeadLetter("no such address")

    with Bus(
        subscriptions=[new_subscription(lambda event, session, answer: None, call=give_up)]
    ) as bus:
        bus.publish(Noted(text="a"))

        with pytest.raises(DeadLetter, match="no such address"):
            bus.drain()


def test_without_fail_fast_an_error_leads_to_retries_and_a_dead_letter(database: Database) -> None:
    retry = Retry(attempts=2, first=1, cap=1)
    with Bus(
        subscriptions=[new_subscription(mark_unless_bad, retry=retry)], fail_fast=False
    ) as bus:
        bus.publish(Noted(text="bad"))
        bus.drain()
        bus.advance(60)

    assert [row.state for row in deliveries()] == ["dead"]
    assert [str(report).partition(":")[0] for report in bus.reports] == ["retrying", "dead"]
    assert isinstance(bus.reports[-1].error, ValueError)


def test_duplicate_messages_are_sent_once_and_delivered_twice(database: Database) -> None:
    with Bus(subscriptions=[new_subscription()]) as bus:
        bus.duplicate_messages = True
        bus.publish(Noted(text="a"))
        bus.drain()

    assert [message.subscription for message in bus.sent] == ["notes.mark"]
    assert [str(report) for report in bus.reports] == ["handled", "duplicate"]


_PROJECT = '''
import sys

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Mapped, mapped_column

from events import Base, Event, reading, subscribe
from events.subscriptions import subscription


class Ordered(Event, type="cake.ordered", source="bakery"):
    """A cake was ordered."""


class Cake(Base):
    __tablename__ = "cakes"
    id: Mapped[int] = mapped_column(primary_key=True)


@subscribe(Ordered, queue="bakery")
def bake(event, session):
    session.add(Cake())


@subscribe(Ordered, queue="paint_shop")
def paint(event, session):
    raise ZeroDivisionError


def cakes():
    with reading() as session:
        return session.scalar(select(func.count()).select_from(Cake))


class TestOne:
    @pytest.fixture
    def bus_subscriptions(self):
        return [subscription("bakery.bake")]

    @pytest.mark.parametrize("time", [1, 2])
    def test_each_test_begins_with_an_empty_database(self, bus, time):
        bus.publish(Ordered())
        bus.drain()
        assert cakes() == 1
        assert "celery" not in sys.modules


def test_all_that_is_registered_is_served_otherwise(bus):
    bus.publish(Ordered())
    with pytest.raises(ZeroDivisionError):
        bus.drain()
    bus.drain()
    assert cakes() == 1
'''

_WITHOUT_TIDINGS = """
import sys


def test_neither_the_bus_nor_what_it_needs_is_imported():
    assert {"tidings.pytest_plugin"} <= set(sys.modules)
    assert not {"events", "sqlalchemy", "pydantic", "celery"} & set(sys.modules)
"""


def run_pytest(folder: Path, program: str, **environment: str) -> str:
    """Run pytest on a project of one file in a folder of its own."""
    (folder / "test_project.py").write_text(program)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    run = subprocess.run(
        [*command, "test_project.py"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    return run.stdout + run.stderr


@pytest.mark.slow
def test_pytest_knows_the_fixture_bus_in_every_project(tmp_path: Path) -> None:
    assert "3 passed" in run_pytest(tmp_path, _PROJECT)


def test_the_plugin_neither_slows_nor_breaks_a_project_without_a_bus(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, _WITHOUT_TIDINGS, LEASE="not a number", DATABASE_URL="nonsense")

    assert "1 passed" in output


def test_a_fixture_of_the_project_overrides_the_plugins(bus: str) -> None:
    assert bus == "our own"


@pytest.fixture
def bus() -> str:
    return "our own"
