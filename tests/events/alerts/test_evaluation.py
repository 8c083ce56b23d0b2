"""The alerts: raised once an hour, over once, and published by one of all who look."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event as hooks

from events import Database, DeadLetter, heartbeat, reading, transaction
from events.admin import dead_letters, replays
from events.admin import subscriptions as admin
from events.alerts import listing
from events.alerts.evaluation import INTERVAL, evaluate
from events.settings import settings
from events.system_events import AlertRaised, AlertResolved
from events.testing import Bus
from tests.events.alerts.alerting import Looks, only, states
from tests.events.breakers.outage import SERVICE, breaker, dependent, outage, renew_service
from tests.events.sample import Noted, new_subscription, note, raising

HOUR = 3600.0
CAUSE = ("new cause", "notes.mark")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that switches all rules off but those that are given."""
    yield lambda **given: only(monkeypatch, **given)
    settings.cache_clear()


class Broken:
    """A handler that can be mended."""

    mended = False

    def __call__(self, event: Noted, session: object) -> None:
        if not self.mended:
            raise DeadLetter("no")


@pytest.fixture
def broken() -> Broken:
    return Broken()


@pytest.fixture(autouse=True)
def _fresh_service() -> None:
    renew_service()


@pytest.fixture
def looks(any_database: Database, broken: Broken) -> Iterator[Looks]:
    def mark(event: Noted, session: object) -> None:
        broken(event, session)

    with Bus(subscriptions=[new_subscription(mark), dependent()], fail_fast=False) as bus:
        yield Looks(bus)


def die(bus: Bus, *texts: str) -> None:
    note(*texts)
    bus.drain()


def replay(bus: Bus) -> None:
    with transaction() as session:
        replays.start(session, who="ada", why="test", subscription="notes.mark")
    for _ in range(5):
        bus.advance(1)


def test_a_cause_is_told_once_an_hour_while_more_dies_of_it_and_once_when_it_is_over(
    looks: Looks, broken: Broken, limits: Callable[..., None]
) -> None:
    limits(new_cause="on")
    assert looks.after() == []
    die(looks.bus, "a", "b")
    assert looks.after() == ["raised: new cause notes.mark"]
    die(looks.bus, "c")
    assert looks.after() == []
    with reading() as session:
        [line] = listing.listed(session)
    assert line.text.startswith("3 dead letters of this cause: ")  # without another message
    assert looks.after(HOUR) == ["again: new cause notes.mark"]
    assert looks.after(HOUR) == []  # nothing more died
    [last] = [each for each in looks.bus.published if isinstance(each, AlertRaised)][-1:]
    assert last.text.startswith("3 dead letters of this cause: DeadLetter ")

    broken.mended = True
    replay(looks.bus)
    assert looks.after() == ["over: new cause notes.mark"]
    assert looks.after() == []
    assert states()[CAUSE] == "over"


def test_what_comes_again_within_the_hour_is_told_after_it_if_it_lasts(
    looks: Looks, broken: Broken, limits: Callable[..., None]
) -> None:
    limits(new_cause="on")
    looks.after()
    die(looks.bus, "a")
    assert looks.after(30) == ["raised: new cause notes.mark"]
    broken.mended = True
    replay(looks.bus)
    assert looks.after(60) == ["over: new cause notes.mark"]
    broken.mended = False
    die(looks.bus, "b")
    assert looks.after(60) == []
    assert states()[CAUSE] == "firing"
    assert looks.after(HOUR) == ["raised: new cause notes.mark"]


def test_a_queue_without_worker_is_told_after_its_time_every_hour_and_when_it_has_one(
    looks: Looks, limits: Callable[..., None]
) -> None:
    limits(no_worker="120")
    beat = {"name": "notes@here", "kind": "worker", "queues": ["notes"]}
    assert looks.after() == []
    assert states() == {("no worker", "notes"): "pending"}
    heartbeat.beat(**beat)
    assert looks.after(INTERVAL - 1) == []
    assert states() == {}  # it came in time
    looks.after(60)
    assert looks.after(100) == []
    assert looks.after(30) == ["raised: no worker notes"]
    assert looks.after(HOUR) == ["again: no worker notes"]
    heartbeat.beat(**beat)
    assert looks.after(INTERVAL - 1) == ["over: no worker notes"]


def test_a_clock_that_goes_back_delays_no_alert(looks: Looks, limits: Callable[..., None]) -> None:
    limits(no_worker="120")
    looks.after()
    looks.after(-6 * HOUR)  # it is pending since then
    looks.after(-6 * HOUR)  # and was told then
    looks.after()

    assert looks.after(HOUR) == ["again: no worker notes"]


def test_a_delivery_that_waits_too_long_is_told_unless_it_is_paused_or_replayed(
    looks: Looks, broken: Broken, limits: Callable[..., None]
) -> None:
    limits(oldest="900")
    looks.bus.clock.advance(-2 * HOUR)
    die(looks.bus, "old")
    looks.bus.clock.advance(2 * HOUR)
    with transaction() as session:
        replays.start(session, who="ada", why="test", subscription="notes.mark")
    looks.bus.send_due()
    assert looks.after() == []  # its event is old, but it is due since now
    assert looks.after(890) == ["raised: oldest notes"]
    with transaction() as session:
        admin.pause(session, "notes.mark", who="ada", why="x")
        admin.pause(session, "notes.ask", who="ada", why="x")
    assert looks.after() == ["over: oldest notes"]


def test_a_relay_that_does_not_relay_is_told(looks: Looks, limits: Callable[..., None]) -> None:
    limits(relay_behind="60")
    note("a")
    assert looks.after(50) == []
    assert looks.after(INTERVAL) == ["raised: relay behind relay"]
    looks.bus.send_due()
    assert looks.after() == ["over: relay behind relay"]


def test_more_dead_letters_than_the_limit_are_told(
    looks: Looks, limits: Callable[..., None]
) -> None:
    limits(dead="2")
    die(looks.bus, "a", "b")
    assert looks.after() == []
    die(looks.bus, "c")
    assert looks.after() == ["raised: dead all"]
    assert looks.after(HOUR) == []
    limits()
    assert looks.after() == []  # switched off is not over
    assert states() == {("dead", "all"): "over"}


def test_a_breaker_is_told_when_it_stays_open_and_not_when_a_person_holds_it(
    looks: Looks, limits: Callable[..., None]
) -> None:
    limits(breaker_open="60")
    outage(looks.bus)
    assert looks.after(30) == []
    assert looks.after(40) == ["raised: breaker open service"]
    SERVICE.error = None
    for _ in range(20):
        looks.bus.advance(60)
    assert breaker().state == "closed"
    assert looks.after() == ["over: breaker open service"]


def test_messages_that_die_themselves_cause_one_more_and_no_endless_chain(
    any_database: Database, limits: Callable[..., None]
) -> None:
    limits(new_cause="on", dead="0")
    sender = new_subscription(
        raising(lambda: DeadLetter("gone")), AlertRaised, AlertResolved, name="notes.tell"
    )
    with Bus(subscriptions=[sender, new_subscription(raising(lambda: DeadLetter("no")))]) as bus:
        bus.fail_fast = False
        looks = Looks(bus)
        die(bus, "a")
        told = []
        for _ in range(10):
            told += looks.after(HOUR)
            bus.drain()
    assert sorted(told) == [
        "raised: dead all",
        "raised: new cause notes.mark",
        "raised: new cause notes.tell",
    ]


def test_of_many_who_look_at_once_one_publishes(
    looks: Looks, limits: Callable[..., None], any_database: Database
) -> None:
    limits(new_cause="on")
    looks.after()
    die(looks.bus, "a")
    looks.bus.clock.advance(INTERVAL)
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: evaluate(), range(6)))

    assert [each for each in done if each] == [1]
    assert sum(isinstance(each, AlertRaised) for each in looks.bus.published) == 1


def test_a_look_that_dies_before_its_commit_has_published_nothing_and_the_next_does(
    looks: Looks, limits: Callable[..., None], any_database: Database
) -> None:
    limits(new_cause="on")
    die(looks.bus, "a")

    def die_here(session: object) -> None:
        raise RuntimeError("killed")

    with transaction() as session:
        kind = type(session)
    hooks.listen(kind, "before_commit", die_here)
    try:
        with pytest.raises(RuntimeError, match="killed"):
            looks.after()
    finally:
        hooks.remove(kind, "before_commit", die_here)
    assert states() == {}
    assert looks.after() == ["raised: new cause notes.mark"]
    with reading() as session:
        assert dead_letters.count(session) == 1
