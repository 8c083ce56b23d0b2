"""The timetable publishes each due time once, whatever the relays and the clock do."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import select, update

from events import Database, clock, reading, transaction
from events.admin import schedules as admin
from events.event import Event
from events.relay.timetable import Timetable
from events.schedule_tables import ScheduleRow
from events.schedules import Missed, Schedule
from events.tables import LogEntry
from events.testing import ManualClock
from events.timing import Timing
from tests.events.sample import Measured, Noted, Replied
from tests.servers import wait_until

MINUTE = timedelta(minutes=1)
EACH_MINUTE = Timing(every=MINUTE)


@pytest.fixture
def now(any_database: Database) -> Iterator[ManualClock]:
    """A clock that the test moves; it begins ten seconds after a full hour."""
    moved = ManualClock()
    moved.advance(3610 - clock.now().timestamp() % 3600)
    clock.follow(moved)
    yield moved
    clock.follow(None)


def noted(due_at: datetime) -> Noted:
    return Noted(text=f"{due_at:%H:%M}")


def timetable(
    timing: Timing = EACH_MINUTE,
    missed: Missed = Missed.LATEST,
    make: Callable[[datetime], Event] = noted,
) -> Timetable:
    """Return that of a relay that has just started."""
    found = Timetable({"tick": Schedule("tick", timing, missed, Noted, make)})
    found.refresh()
    return found


def published() -> list[LogEntry]:
    with reading() as session:
        return list(session.scalars(select(LogEntry).order_by(LogEntry.position)))


def minutes() -> list[int]:
    return [entry.publish_at.minute for entry in published()]


def shown() -> admin.ScheduleLine:
    with reading() as session:
        [line] = admin.listed(session)
    return line


def test_a_due_time_is_published_once_by_two_relays_and_after_a_restart(now: ManualClock) -> None:
    relays = [timetable(), timetable()]
    assert [each.publish_due() for each in relays] == [0, 0]
    now.advance(60)

    assert sorted(each.publish_due() for each in [*relays, timetable()]) == [0, 0, 1]

    [entry] = published()
    assert (entry.subject, entry.type, entry.publish_at.minute) == ("tick", Noted.type, 1)
    assert entry.data == {"text": f"{entry.publish_at:%H:%M}"}
    assert (shown().last_due_at, shown().next_due_at) == (
        entry.publish_at,
        entry.publish_at + MINUTE,
    )


def test_relays_that_publish_at_the_same_moment_share_the_due_times(now: ManualClock) -> None:
    relays = [timetable(), timetable()]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            now.advance(60)
            start = Barrier(2)

            def publish(relay: Timetable, start: Barrier = start) -> int:
                start.wait()
                return relay.publish_due()

            assert sum(pool.map(publish, relays)) == 1
            for relay in relays:
                relay.refresh()
    assert minutes() == list(range(1, 11))


@pytest.mark.parametrize(
    ("missed", "expected"),
    [(Missed.ALL, [1, 2, 3, 4, 5, 6, 7]), (Missed.LATEST, [7]), (Missed.SKIP, [7])],
)
def test_missed_times_are_caught_up_as_the_entry_says(
    now: ManualClock, missed: Missed, expected: list[int]
) -> None:
    timetable(missed=missed)
    now.advance(7 * 60)
    restarted = timetable(missed=missed)

    restarted.publish_due()
    restarted.publish_due()

    assert minutes() == expected
    assert shown().next_due_at.minute == 8


def test_an_entry_that_skips_publishes_nothing_that_is_older_than_a_minute(
    now: ManualClock,
) -> None:
    hourly = Timing(cron="0 * * * *")
    timetable(hourly, Missed.SKIP)
    now.advance(3600 + 60)
    timetable(hourly, Missed.SKIP).publish_due()
    assert published() == []
    assert shown().last_due_at is None

    now.advance(3600 - 61)
    timetable(hourly, Missed.SKIP).publish_due()
    assert len(published()) == 1


def test_many_missed_times_are_caught_up_in_slices(now: ManualClock) -> None:
    timetable(missed=Missed.ALL)
    now.advance(250 * 60)
    restarted = timetable(missed=Missed.ALL)

    assert [restarted.publish_due() for _ in range(4)] == [100, 100, 50, 0]


def test_a_clock_that_goes_back_publishes_nothing_again(now: ManualClock) -> None:
    relay = timetable()
    now.advance(10 * 60)
    assert relay.publish_due() == 1

    now.advance(-5 * 60)
    assert [relay.publish_due(), timetable().publish_due()] == [0, 0]
    assert shown().trouble.startswith("the clock went back")
    now.advance(5 * 60)
    assert relay.publish_due() == 0
    now.advance(60)
    assert relay.publish_due() == 1

    assert minutes() == [10, 11]
    assert shown().trouble == ""


def test_a_clock_that_jumps_a_year_ahead_publishes_one_event(now: ManualClock) -> None:
    relay = timetable(Timing(cron="* * * * *"))
    now.advance(366 * 86_400)

    assert [relay.publish_due(), relay.publish_due()] == [1, 0]


def test_an_entry_whose_times_have_changed_repeats_none(now: ManualClock) -> None:
    relay = timetable(Timing(cron="* * * * *"))
    now.advance(60)
    relay.publish_due()

    changed = timetable(Timing(cron="*/5 * * * *"))
    relay.refresh()  # that of the old version, which goes on until it is replaced
    now.advance(240)

    assert [relay.publish_due(), changed.publish_due()] == [0, 1]
    assert minutes() == [1, 5]
    assert shown().due == "*/5 * * * * UTC"


def test_an_event_that_cannot_be_made_is_told_and_holds_up_nothing_else(now: ManualClock) -> None:
    broken = True

    def make(due_at: datetime) -> Event:
        if broken:
            raise LookupError("ada@example.org is personal")
        return noted(due_at)

    good = Schedule("good", EACH_MINUTE, Missed.ALL, Noted, noted)
    bad = Schedule("bad", EACH_MINUTE, Missed.ALL, Noted, make)
    wrong = Schedule("wrong", EACH_MINUTE, Missed.ALL, Noted, lambda due_at: Replied())
    odd = Schedule("odd", EACH_MINUTE, Missed.ALL, Measured, lambda at: Measured(value=object()))
    relay = Timetable({each.name: each for each in (bad, good, odd, wrong)})
    relay.refresh()
    now.advance(60)

    assert [relay.publish_due(), relay.publish_due()] == [1, 0]
    with reading() as session:
        troubles = {line.name: line.trouble for line in admin.listed(session)}
    assert troubles["good"] == ""
    assert troubles["bad"].startswith("LookupError ")
    assert "ada@" not in troubles["bad"]
    assert troubles["wrong"].startswith("TypeError ")

    broken = False
    now.advance(61)
    assert relay.publish_due() == 3  # one of good, and the two of bad
    with reading() as session:
        assert {line.name for line in admin.listed(session) if line.trouble} == {"odd", "wrong"}


def test_a_relay_that_dies_before_its_commit_publishes_later_and_once(
    now: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def dying(due_at: datetime) -> Event:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise SystemExit
        return noted(due_at)

    relay = timetable(make=dying)
    now.advance(60)
    with pytest.raises(SystemExit):
        relay.publish_due()
    assert timetable(make=dying).publish_due() == 1

    assert minutes() == [1]


def test_a_row_that_was_deleted_is_no_error(now: ManualClock) -> None:
    relay = timetable()
    with transaction() as session:
        session.delete(session.get_one(ScheduleRow, "tick"))
    now.advance(60)

    assert relay.publish_due() == 0
    assert relay.next_at is None


def test_without_entries_the_database_is_not_asked() -> None:
    relay = Timetable({})  # and no database is in use
    relay.refresh()
    assert (relay.publish_due(), relay.next_at) == (0, None)


PROCESS = """
import sys, threading
from datetime import timedelta
from events import schedule
from events.database import Database, use
from events.relay.loop import Relay
from events.testing import InMemoryTransport
from tests.events.sample import Noted

@schedule(every=timedelta(seconds=1), missed="all")
def tick(due_at) -> Noted:
    return Noted(text=due_at.isoformat())

use(Database(sys.argv[1]))
Relay(InMemoryTransport()).run(threading.Event())
"""


def test_two_relays_of_which_one_is_killed_again_and_again_publish_each_second_once(
    any_database: Database,
) -> None:
    url = any_database.url.render_as_string(hide_password=False)
    relays = [_relay(url), _relay(url)]
    try:
        for rounds in range(1, 4):
            wait_until(lambda want=rounds: len(published()) > want, what="events")
            relays[0].kill()
            relays[0].wait()
            relays[0] = _relay(url)
        known = len(published())
        wait_until(lambda: len(published()) > known, what="another event")
    finally:
        for relay in relays:
            relay.kill()
            relay.wait()

    times = [entry.publish_at for entry in published()]
    assert times == [times[0] + timedelta(seconds=n) for n in range(len(times))]


def _relay(url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROCESS, url])


def test_the_row_of_another_version_is_left_alone(now: ManualClock) -> None:
    relay = timetable()
    with transaction() as session:
        session.execute(update(ScheduleRow).values(cron="0 3 * * *", every=None))
    now.advance(60)
    relay.refresh()

    assert relay.next_at is None
