"""The commands in an ASCII locale: every row is printed, and every argument understood."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events import Database, publish, reading, transaction
from events.admin import audit
from events.admin import subscriptions as admin
from events.subscriptions import registered
from tests import forked
from tests.tasks.builders import order_created
from tests.tidings.up.instance import CLEARED
from tidings.cli.output import cell

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NAME = "Žofie Nováková 🎁"


def run(database: Database, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `tidings` in an ASCII locale."""
    clean = {name: value for name, value in os.environ.items() if name not in CLEARED}
    url = database.url.render_as_string(hide_password=False)
    return forked.run("tidings", *words, env=clean | ASCII | {"DATABASE_URL": url} | env)


@pytest.fixture
def order(database: Database) -> str:
    """An order of a customer whose name is beyond ASCII."""
    event = order_created().model_copy(update={"customer": NAME})
    with transaction() as session:
        admin.register(session, registered().values())
        publish(session, event, subject=event.number)
    return event.number


@pytest.mark.parametrize(
    "encoding", [pytest.param({}, marks=pytest.mark.slow), {"PYTHONIOENCODING": "ascii"}]
)
def test_everything_is_printed(encoding: dict[str, str], order: str, database: Database):
    shown = run(database, "events", "show", order, **encoding)

    assert (shown.returncode, shown.stderr) == (0, "")
    data = next(line for line in shown.stdout.splitlines() if line[:1] == "{")
    assert json.loads(data)["customer"] == NAME


@pytest.mark.parametrize(
    "words",
    [
        ("events", "list"),
        ("events", "list", "--json"),
        ("queues",),
        ("subscriptions",),
        ("dead-letters", "list"),
        ("catalog",),
        ("--help",),
        ("up", "--help"),
    ],
)
def test_no_table_is_lost_to_an_error(words: tuple[str, ...], order: str, database: Database):
    shown = run(database, *words, PYTHONIOENCODING="ascii")

    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.strip()


def test_the_doctor_has_marks_of_ascii(database: Database, tmp_path: Path):
    shown = run(database, "doctor", PYTHONIOENCODING="ascii", BROKER_URL="redis://127.0.0.1:1/0")

    lines = shown.stdout.splitlines()
    assert shown.returncode == 3, shown.stderr
    assert any(line.startswith("X ") for line in lines)
    assert any("-> " in line for line in lines)


def test_an_argument_beyond_ascii_is_stored_as_it_was_typed(order: str, database: Database):
    name = next(iter(registered()))

    paused = run(database, "pause", name, "--why", f"für {NAME}", PYTHONIOENCODING="ascii")

    assert paused.returncode == 0, paused.stderr
    with reading() as session:
        assert audit.listed(session)[0].why == f"für {NAME}"


def test_a_path_that_the_locale_cannot_express_is_refused_with_a_fix(
    database: Database, tmp_path: Path
):
    folder = run(database, "doctor", "--data-dir", str(tmp_path / "Žofie"))
    url = run(database, "queues", DATABASE_URL=f"sqlite:///{tmp_path}/Žofie.sqlite")

    assert (folder.returncode, url.returncode) == (2, 2)
    assert "set PYTHONUTF8=1" in folder.stderr
    assert "set PYTHONUTF8=1" in url.stderr


@pytest.fixture
def in_kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of Nepal."""
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_kathmandu")
def test_times_are_in_utc_as_on_the_pages_whatever_the_zone_of_the_terminal():
    assert cell(datetime(2026, 11, 25, 21, 30, tzinfo=UTC)) == "2026-11-25 21:30:00"
