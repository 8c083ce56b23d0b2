"""Scheduled events fire once, unless they are cancelled before."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from sqlalchemy import select

from events import Database, clock, heartbeat, publish, reading, scheduled, transaction
from events.errors import ScheduleError
from events.relay.loop import Relay
from events.tables import LogEntry, ScheduledEvent
from events.testing import Bus, InMemoryTransport
from tests.events.sample import Noted, new_subscription
from tests.servers import wait_until

HOUR = timedelta(hours=1)


@pytest.fixture
def any_bus(any_database: Database) -> Iterator[Bus]:
    with Bus(subscriptions=[new_subscription()]) as bus:
        yield bus


def plan(key: str | None = "k", after: timedelta = HOUR) -> None:
    with transaction() as session:
        publish(session, Noted(text=str(key)), subject="N-1", at=clock.now() + after, key=key)


def waiting() -> list[ScheduledEvent]:
    with reading() as session:
        return list(scheduled.listed(session))


def texts(bus: Bus) -> list[str]:
    return [event.text for event in bus.published if isinstance(event, Noted)]


def test_an_event_is_in_the_log_when_it_is_due_and_not_before(any_bus: Bus) -> None:
    plan()
    plan(None)

    any_bus.advance(3599)
    assert texts(any_bus) == []
    assert len(waiting()) == 2
    any_bus.advance(2)

    assert sorted(texts(any_bus)) == ["None", "k"]
    assert waiting() == []
    with reading() as session:
        [first, _] = session.scalars(select(LogEntry)).all()
    assert first.subject == "N-1"
    assert first.time >= first.publish_at
    assert [row.state for row in any_bus.deliveries()] == ["done", "done"]


def test_a_cancelled_event_never_fires_and_one_that_fired_cannot_be_cancelled(
    any_bus: Bus,
) -> None:
    plan("first")
    plan("second", 2 * HOUR)

    with transaction() as session:
        assert scheduled.cancel(session, "first")
        assert not scheduled.cancel(session, "first")
        assert not scheduled.reschedule(session, "first", clock.now())
    any_bus.advance(3 * 3600)

    assert texts(any_bus) == ["second"]
    with transaction() as session:
        assert not scheduled.cancel(session, "second")
    plan("second")  # the key is free again


def test_a_rescheduled_event_fires_at_its_new_time_only(any_bus: Bus) -> None:
    plan()

    with transaction() as session:
        assert scheduled.reschedule(session, "k", clock.now() + 5 * HOUR)
    any_bus.advance(2 * 3600)
    assert texts(any_bus) == []
    any_bus.advance(4 * 3600)

    assert texts(any_bus) == ["k"]


def test_a_rolled_back_transaction_schedules_and_cancels_nothing(any_bus: Bus) -> None:
    plan("kept")

    def fail_afterwards() -> None:
        with transaction() as session:
            publish(session, Noted(text="lost"), at=clock.now() + HOUR, key="lost")
            scheduled.cancel(session, "kept")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_afterwards()

    assert [row.key for row in waiting()] == ["kept"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"key": "k", "at": "later"}, "'k' is that of an event which waits already"),
        ({"key": "new"}, "belongs to one event with a time"),
        ({"key": "", "at": "later"}, "is no line of 1 to 200 characters"),
        ({"key": "a\nb", "at": "later"}, "is no line of 1 to 200 characters"),
        ({"key": "x" * 201, "at": "later"}, "is no line of 1 to 200 characters"),
        ({"key": "a\0", "at": "later"}, "is no line of 1 to 200 characters"),
        ({"key": "\ud800", "at": "later"}, "is no line of 1 to 200 characters"),
        ({"key": 5, "at": "later"}, "key '5' is no line of 1 to 200 characters"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_and_leaves_the_transaction_usable(
    any_bus: Bus, options: dict[str, Any], told: str
) -> None:
    plan()
    given: dict[str, object] = {**options}
    if "at" in given:
        given["at"] = clock.now() + HOUR

    with transaction() as session:
        with pytest.raises(ScheduleError, match=told):
            publish(session, Noted(text="bad"), **given)  # type: ignore[arg-type]
        if "no line" in told:  # an event cannot wait under it, so whoever asks for one has erred
            for act in (scheduled.cancel, scheduled.due_at):
                with pytest.raises(ScheduleError, match=told):
                    act(session, given["key"])  # type: ignore[operator]
            with pytest.raises(ScheduleError, match=told):
                scheduled.reschedule(session, given["key"], clock.now())  # type: ignore[arg-type]
        publish(session, Noted(text="good"))

    assert texts(any_bus) == ["good"]
    assert [row.key for row in waiting()] == ["k"]


def test_a_time_that_is_none_is_refused_and_leaves_the_transaction_usable(any_bus: Bus) -> None:
    plan()
    latest, earliest = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    wrong: dict[str, Any] = {
        "2030-01-01 00:00:00 has no time zone": datetime(2030, 1, 1),  # noqa: DTZ001 - the fault
        "at=9999-12-31 .* is outside of the years": latest.replace(tzinfo=timezone(-12 * HOUR)),
        "at=0001-01-01 .* is outside of the years": earliest.replace(tzinfo=timezone(12 * HOUR)),
        r"datetime\.date\(2030, 1, 1\) is no datetime": date(2030, 1, 1),
        "at='2030-01-01' is no datetime": "2030-01-01",
    }
    with transaction() as session:
        for told, at in wrong.items():
            with pytest.raises(ScheduleError, match=told):
                publish(session, Noted(), at=at)
            with pytest.raises(ScheduleError, match=told):
                scheduled.reschedule(session, "k", at)
        assert scheduled.reschedule(session, "k", latest)

    assert texts(any_bus) == []
    assert [row.publish_at for row in waiting()] == [latest]


def test_of_a_cancellation_and_a_release_at_the_same_moment_one_wins(any_bus: Bus) -> None:
    """Real transactions of two threads, many times."""
    cancelled = set()
    with ThreadPoolExecutor(2) as pool:
        for number in range(20):
            plan(str(number), timedelta())
            start = Barrier(2)

            def cancel(key: str, start: Barrier = start) -> bool:
                start.wait()
                with transaction() as session:
                    return scheduled.cancel(session, key)

            def release(start: Barrier = start) -> int:
                start.wait()
                with transaction() as session:
                    return scheduled.release_due(session)

            released = pool.submit(release)
            if pool.submit(cancel, str(number)).result():
                cancelled.add(str(number))
            released.result()
    with transaction() as session:  # one that was locked by a cancellation is not left behind
        scheduled.release_due(session)

    assert set(texts(any_bus)) == {str(each) for each in range(20)} - cancelled
    assert len(texts(any_bus)) == 20 - len(cancelled)
    assert waiting() == []


def test_the_relay_wakes_for_a_scheduled_event(any_database: Database) -> None:
    stop = Event()
    relay = Thread(target=Relay(InMemoryTransport(), name="relay@test").run, args=(stop,))
    relay.start()
    try:
        wait_until(_beats, what="the relay")
        plan("soon", timedelta(seconds=0.3))
        wait_until(_is_logged, what="the event in the log")
    finally:
        stop.set()
        relay.join()


def _beats() -> bool:
    with reading() as session:
        return bool(heartbeat.alive(session))


def _is_logged() -> bool:
    with reading() as session:
        return session.scalar(select(LogEntry.relayed_at)) is not None
