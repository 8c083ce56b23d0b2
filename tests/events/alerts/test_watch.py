"""The thread of a relay that looks at the rules."""

import time
from collections.abc import Callable

from sqlalchemy import select
from structlog.testing import capture_logs

from events import Database, reading
from events.alert_tables import AlertLook
from events.alerts.watch import AlertWatch

DEADLINE = 60.0  # seconds


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def looked() -> bool:
    with reading() as session:
        return session.scalar(select(AlertLook.at)) is not None


def test_it_looks_until_the_relay_ends_and_goes_on_after_an_error(database: Database) -> None:
    with database.transaction() as session:
        AlertLook.__table__.drop(session.connection())
    with capture_logs() as lines, AlertWatch(interval=0.02) as watch:
        wait_for(lambda: any(line["event"] == "alerts.not_evaluated" for line in lines))
        with database.transaction() as session:
            AlertLook.__table__.create(session.connection())
        wait_for(looked)

    assert not watch._thread.is_alive()
    [line] = [line for line in lines if line["event"] == "alerts.not_evaluated"]
    assert "no such table: alert_looks" in line["detail"]
