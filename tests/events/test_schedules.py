"""Schedules: their due times, and declarations that cannot work."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events import schedule, schedules
from events.errors import ScheduleError
from events.event import Event
from events.timing import Timing
from tests.events.sample import Noted

MINUTE = timedelta(minutes=1)
SUMMER = datetime(2026, 3, 28, 12, tzinfo=UTC)  # Berlin goes from 2 to 3 o'clock on the 29th
WINTER = datetime(2026, 10, 24, 12, tzinfo=UTC)  # and from 3 to 2 o'clock on the 25th


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "_registry", {})


def noted(due_at: datetime) -> Noted:
    return Noted(text=due_at.isoformat())


def following(timing: Timing, start: datetime, count: int) -> list[str]:
    found = []
    for _ in range(count):
        start = timing.next_after(start)
        found.append(f"{start:%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("timing", "start", "due"),
    [
        (Timing(cron="30 2 * * *"), SUMMER, ["29 02:30", "30 02:30"]),
        # 2:30 does not exist in Berlin that day; it is due at once when it is over.
        (
            Timing(cron="30 2 * * *", timezone="Europe/Berlin"),
            SUMMER,
            ["29 01:00", "30 00:30"],
        ),
        # 2:30 is there twice; it is due once.
        (
            Timing(cron="30 2 * * *", timezone="Europe/Berlin"),
            WINTER,
            ["25 00:30", "26 01:30"],
        ),
        (
            Timing(cron="30 * * * *", timezone="Europe/Berlin"),
            datetime(2026, 10, 24, 23, tzinfo=UTC),
            ["24 23:30", "25 00:30", "25 01:30", "25 02:30"],
        ),
        (Timing(every=timedelta(hours=6)), SUMMER, ["28 18:00", "29 00:00"]),
        (Timing(cron="0 9 * * MON"), SUMMER, ["30 09:00"]),
    ],
)
def test_the_due_times_follow_the_cron_line_in_its_time_zone(
    timing: Timing, start: datetime, due: list[str]
) -> None:
    assert following(timing, start, len(due)) == due


@pytest.mark.parametrize(
    "timing",
    [
        Timing(cron="*/7 * * * *"),
        Timing(cron="30 2 * * *", timezone="Europe/Berlin"),
        Timing(every=timedelta(seconds=90)),
    ],
)
def test_the_latest_due_time_is_the_one_before_the_next(timing: Timing) -> None:
    for moment in (SUMMER, WINTER, WINTER + timedelta(hours=12, seconds=1.5)):
        first = timing.next_after(moment)
        after = timing.next_after(first)
        assert timing.latest(first) == first
        assert timing.latest(after - timedelta(microseconds=1)) == first
        assert list(timing.between(first, after)) == [first, after]


def test_an_entry_has_the_name_of_its_function() -> None:
    assert schedule(cron="0 3 * * *", missed="all")(noted) is noted

    [entry] = schedules.registered().values()
    assert (entry.name, entry.missed, entry.event_class) == ("noted", "all", Noted)
    assert str(entry.timing) == "0 3 * * * UTC"


def nothing(due_at: datetime) -> None: ...
def unnamed(due_at: datetime) -> Event: ...  # type: ignore[empty-body]
def two(due_at: datetime, more: int) -> Noted: ...  # type: ignore[empty-body]
def Capital(due_at: datetime) -> Noted: ...  # type: ignore[empty-body]  # noqa: N802 - the fault


@pytest.mark.parametrize(
    ("options", "make", "told"),
    [
        ({}, noted, "give either a cron line or an interval"),
        ({"cron": "0 3 * * *", "every": MINUTE}, noted, "give either a cron line or an interval"),
        ({"cron": "0 3 * *"}, noted, r"'0 3 \* \*' is no cron line: wrong number of fields; write"),
        ({"cron": "61 * * * *"}, noted, "no cron line: bad minute; write minute, hour"),
        ({"cron": "0 0 30 2 *"}, noted, "no cron line: bad day-of-month"),
        ({"cron": "every night"}, noted, "no cron line"),
        ({"cron": ""}, noted, "no cron line"),
        ({"cron": ",".join(["5"] * 150) + " * * * *"}, noted, "over 200 characters; write ranges"),
        ({"cron": "0 3 * * *", "timezone": "Mars/Phobos"}, noted, "timezone='Mars/Phobos' is none"),
        ({"cron": "0 3 * * *", "timezone": "../etc"}, noted, "timezone='../etc' is none"),
        ({"cron": "0 3 * * *", "timezone": ""}, noted, "timezone='' is none"),
        ({"every": timedelta(0)}, noted, "every=0:00:00 is not between a second and 366 days"),
        ({"every": 0}, noted, r"every=0 is none; write timedelta\(seconds=30\)"),
        ({"every": "1h"}, noted, "every='1h' is none; write timedelta"),
        ({"cron": 5}, noted, "cron=5 is none; write a line such as '0 3"),
        ({"cron": "0 3 * * *", "timezone": None}, noted, "timezone=None is none; write one such"),
        ({"every": timedelta(days=999)}, noted, "is not between a second and 366 days"),
        ({"every": MINUTE, "timezone": "Europe/Berlin"}, noted, "an interval has no time zone"),
        ({"every": MINUTE, "missed": "never"}, noted, "missed='never'; write one of all, latest"),
        ({"every": MINUTE}, nothing, "annotate its function with the event that it returns"),
        ({"every": MINUTE}, unnamed, "annotate its function with the event that it returns"),
        ({"every": MINUTE}, two, "must take one argument, the due time"),
        ({"every": MINUTE}, Capital, "name the function in small letters"),
    ],
)
def test_an_entry_that_cannot_work_is_an_error_at_import(
    options: dict[str, Any], make: Callable[..., Any], told: str
) -> None:
    with pytest.raises(ScheduleError, match=rf"^schedule {make.__name__}: .*{told}"):
        schedule(**options)(make)
    assert schedules.registered() == {}


def test_two_entries_of_one_name_are_an_error_and_a_reload_is_none() -> None:
    schedule(every=MINUTE)(noted)
    schedule(every=2 * MINUTE)(noted)

    def other(due_at: datetime) -> Noted:
        return Noted()

    other.__name__ = "noted"
    with pytest.raises(ScheduleError, match="rename one of them"):
        schedule(every=MINUTE)(other)
    [entry] = schedules.registered().values()
    assert entry.timing.every == 2 * MINUTE
