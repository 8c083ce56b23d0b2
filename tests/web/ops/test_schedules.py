"""The schedules: by page, API and command, in the same words."""

from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient

from events import clock, transaction
from events.relay.timetable import register
from events.schedule_tables import ScheduleRow
from events.schedules import Missed, Schedule
from events.timing import Timing
from tests.events.sample import Noted
from tests.tidings.cli.calls import answered, told
from tests.web.pages import OPS_HTML
from tests.web.payloads import OPS


def noted(due_at: datetime) -> Noted:
    return Noted(text=due_at.isoformat())


@pytest.fixture
def entries(client: FlaskClient) -> None:
    """Register one that works, one whose function fails, and one whose clock went back."""
    nightly = Timing(cron="0 3 * * *", timezone="Europe/Berlin")
    hourly = Timing(every=timedelta(hours=1))
    given = {"report": nightly, "broken": hourly, "early": hourly}
    with transaction() as session:
        register(
            session,
            [Schedule(name, timing, Missed.SKIP, Noted, noted) for name, timing in given.items()],
        )
        session.get_one(ScheduleRow, "broken").error = "LookupError <b>nightly.py</b>:3 make"
        session.get_one(ScheduleRow, "early").next_due_at = clock.now() + timedelta(days=9)


def test_page_api_and_command_tell_the_same(client: FlaskClient, entries: None):
    page = client.get("/ops/schedules", headers=OPS_HTML).text
    listed = client.get("/api/v1/schedules", headers=OPS).get_json()["schedules"]
    report, broken, early = (
        next(each for each in listed if each["name"] == name)
        for name in ("report", "broken", "early")
    )

    assert (report["due"], report["missed"], report["event_type"], report["trouble"]) == (
        "0 3 * * * Europe/Berlin",
        "skip",
        "sample.noted",
        "",
    )
    assert report["last_due_at"] is None
    assert broken["trouble"].startswith(
        "LookupError <b>nightly.py</b>:3 make; nothing is published"
    )
    assert early["trouble"].startswith("the clock went back")
    assert "2 schedules have trouble" in page
    assert "<code>0 3 * * * Europe/Berlin</code>" in page
    assert "LookupError &lt;b&gt;nightly.py" in page
    assert [each["name"] for each in answered("schedules")] == [each["name"] for each in listed]
    table = told("schedules")
    assert "every 1:00:00" in table
    assert "the clock went back" in table


def test_without_schedules_page_and_command_say_so(client: FlaskClient):
    assert "No schedule is registered." in client.get("/ops/schedules", headers=OPS_HTML).text
    assert told("schedules").startswith("no schedule is registered")
    assert client.get("/api/v1/schedules", headers=OPS).get_json() == {"schedules": []}


def test_the_api_requires_the_login(client: FlaskClient):
    assert client.get("/api/v1/schedules").status_code == 401
