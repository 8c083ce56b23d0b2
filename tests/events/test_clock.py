"""The clock of the bus: the database's, measured by each process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from events import Database, clock, heartbeat, reading
from events.tables import Heartbeat
from events.testing import ManualClock
from tests.servers import HANG, missing

MINUTE_AND_HALF = timedelta(seconds=90)


@pytest.fixture(autouse=True)
def measured_again() -> Iterator[None]:
    """Forget the difference that a test made up."""
    yield
    clock.measure(lambda: datetime.now(UTC))


def test_a_machine_that_is_ahead_takes_the_time_of_the_database() -> None:
    clock.measure(lambda: datetime.now(UTC) - MINUTE_AND_HALF)

    assert clock.skew() == pytest.approx(90, abs=0.1)
    assert abs(clock.now() + MINUTE_AND_HALF - datetime.now(UTC)) < timedelta(seconds=0.1)
    assert abs(clock.machine_now() - datetime.now(UTC)) < timedelta(seconds=0.1)


def test_a_clock_that_agrees_is_left_alone() -> None:
    clock.measure(lambda: datetime.now(UTC))

    assert clock.skew() == 0


def test_a_difference_that_is_over_is_forgotten() -> None:
    clock.measure(lambda: datetime.now(UTC) + MINUTE_AND_HALF)
    clock.measure(lambda: datetime.now(UTC))

    assert clock.skew() == 0


def test_the_difference_does_not_move_with_the_network() -> None:
    clock.measure(lambda: datetime.now(UTC) - MINUTE_AND_HALF)
    first = clock.skew()
    clock.measure(lambda: datetime.now(UTC) - timedelta(seconds=first))

    assert clock.skew() == first


def test_the_clock_of_a_test_comes_before_that_of_the_database() -> None:
    clock.measure(lambda: datetime.now(UTC) - MINUTE_AND_HALF)
    source = ManualClock()
    clock.follow(source)
    try:
        source.advance(60)
        assert clock.now() == source()
    finally:
        clock.follow(None)


def test_a_connection_to_postgresql_measures(postgres_url: str) -> None:
    clock.measure(lambda: datetime.now(UTC) - MINUTE_AND_HALF)
    database = Database(postgres_url)

    with database.transaction() as session:
        session.execute(text("SELECT 1"))

    assert clock.skew() == 0
    database.close()


def test_a_heartbeat_tells_by_how_much_its_machine_is_ahead(database: Database) -> None:
    clock.measure(lambda: datetime.now(UTC) - MINUTE_AND_HALF)
    heartbeat.beat("web@one", "web")

    with reading() as session:
        row = session.get_one(Heartbeat, "web@one")
        assert row.skew == pytest.approx(90, abs=0.1)


BEGINNING = """
from events import clock, heartbeat, transaction
with transaction():
    print(clock.now().timestamp())
heartbeat.beat("relay@ahead", "relay")
"""


def test_a_process_that_is_ahead_takes_the_time_of_the_database_from_the_beginning(
    postgres_database: Database,
) -> None:
    if not shutil.which("faketime"):
        missing("faketime")
    heartbeat.beat("relay@here", "relay")
    url = postgres_database.url.render_as_string(hide_password=False)

    run = subprocess.run(
        ["faketime", "-f", "+3600s", sys.executable, "-c", BEGINNING],
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=True,
    )

    now = datetime.now(UTC)
    assert abs(float(run.stdout) - now.timestamp()) < 60 + HANG
    with reading() as session:
        seen = {row.name: row.last_seen for row in session.scalars(select(Heartbeat))}
    assert seen.keys() == {"relay@ahead", "relay@here"}  # it took nobody else for dead
    assert seen["relay@ahead"] < now + timedelta(seconds=60)


SET_ONE_HOUR_ON = """
import os
from pathlib import Path
from sqlalchemy import text
from events import clock, reading, transaction

with reading() as session:
    session.execute(text("SELECT 1"))
Path(os.environ["FAKETIME_TIMESTAMP_FILE"]).write_text("+3600s")
assert clock.was_set()
with transaction():
    print(clock.now().timestamp())
assert not clock.was_set()
with reading():
    print(clock.now().timestamp())
"""


def test_a_clock_that_is_set_is_measured_again_before_it_is_asked(
    postgres_database: Database, tmp_path: Path
) -> None:
    if not shutil.which("faketime"):
        missing("faketime")
    setting = tmp_path / "clock"
    setting.write_text("+0s")
    faked = {
        "DATABASE_URL": postgres_database.url.render_as_string(hide_password=False),
        "FAKETIME_TIMESTAMP_FILE": str(setting),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    # Its option would override the file.
    shown = subprocess.run(
        ["faketime", "-f", "+0s", "printenv", "LD_PRELOAD"], capture_output=True, check=True
    )
    run = subprocess.run(
        [sys.executable, "-c", SET_ONE_HOUR_ON],
        env=os.environ | faked | {"LD_PRELOAD": shown.stdout.decode().strip()},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=True,
    )

    times = [float(each) for each in run.stdout.split()]
    assert len(times) == 2
    assert all(abs(each - datetime.now(UTC).timestamp()) < 60 + HANG for each in times)
