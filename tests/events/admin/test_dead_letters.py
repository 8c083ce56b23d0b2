"""Dead letters: listed by cause, replayed or discarded by an operator, and audited."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from events import Database, DeadLetter, reading, transaction
from events.admin import audit, dead_letters, replays
from events.audit_tables import AuditEntry
from events.errors import NothingToReplay, UnknownDelivery
from events.tables import Delivery
from events.testing import Bus
from tests.events.sample import (
    Mark,
    Noted,
    Replied,
    deliveries,
    delivery,
    failed_attempts,
    mark,
    marks,
    new_subscription,
    note,
)


class Handlers:
    """A switch that makes the handlers fail."""

    broken = True


def fail_here(event: Noted, session: Session) -> None:
    mark(event, session)
    if Handlers.broken:
        raise DeadLetter(f"here: {event.text}")


def fail_there(event: Noted | Replied, session: Session) -> None:
    session.add(Mark(what=f"there {event.text}"))
    if Handlers.broken:
        raise KeyError("there")


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    """Two subscriptions on two queues: three dead deliveries of the first, one of the second."""
    Handlers.broken = True
    there = new_subscription(fail_there, Replied, name="others.fail")
    with Bus(subscriptions=[new_subscription(fail_here), there], fail_fast=False) as bus:
        note("a", "b", "c", subject="N-1")
        bus.publish(Replied(text="d"), subject="N-2")
        for _ in range(4):
            bus.advance(100)
        yield bus


def audited() -> list[tuple[str, str, str, str]]:
    """Return the entries of the audit, in order."""
    with reading() as session:
        return [
            (row.who, row.action, row.target, row.why)
            for row in session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        ]


def delivery_ids() -> list[str]:
    """Return the ids of the deliveries of `notes.mark`."""
    return [row.id for row in deliveries()]


def test_the_list_shows_dead_letters_with_their_errors_latest_first(bus: Bus) -> None:
    with reading() as session:
        found = dead_letters.listed(session)

    assert len(found) == 4
    latest = found[0]
    assert (latest.subscription, latest.queue, latest.event_type, latest.event_version) == (
        "others.fail",
        "others",
        "sample.replied",
        1,
    )
    assert (latest.subject, latest.attempts, latest.error) == ("N-2", 3, "KeyError: 'there'")
    assert [each.died_at for each in found] == sorted(
        (each.died_at for each in found), reverse=True
    )


def test_the_list_can_be_limited_to_a_queue_a_subscription_or_a_fingerprint(bus: Bus) -> None:
    with reading() as session:
        fingerprint = dead_letters.listed(session, queue="others")[0].fingerprint
        sizes = [
            len(dead_letters.listed(session, queue="notes")),
            len(dead_letters.listed(session, subscription="others.fail")),
            len(dead_letters.listed(session, fingerprint=fingerprint)),
            len(dead_letters.listed(session, queue="notes", fingerprint=fingerprint)),
            len(dead_letters.listed(session, limit=2)),
        ]

    assert sizes == [3, 1, 1, 0, 2]


def test_dead_letters_with_one_cause_form_one_group_largest_first(bus: Bus) -> None:
    with reading() as session:
        first, second = dead_letters.groups(session)

    assert (first.count, first.subscription, first.event_type) == (3, "notes.mark", "sample.noted")
    assert (second.count, second.queue, second.error) == (1, "others", "KeyError: 'there'")
    assert first.first <= first.last


def test_groups_are_counted_by_subscription_and_cause(bus: Bus) -> None:
    theirs = select(Delivery).where(Delivery.subscription == "notes.mark")
    with transaction() as session:
        assert dead_letters.count_groups(session) == 2
        for row, cause in zip(session.scalars(theirs).all(), ("a", "b", "c"), strict=True):
            row.fingerprint = cause
        session.flush()
        assert dead_letters.count_groups(session) == len(dead_letters.groups(session)) == 4
        session.execute(update(Delivery).values(state="discarded"))
        assert dead_letters.count_groups(session) == 0


def test_a_dead_letter_is_shown_with_every_attempt(bus: Bus) -> None:
    [delivery_id] = [row.id for row in deliveries("others.fail")]
    with reading() as session:
        shown, history = (
            dead_letters.show(session, delivery_id),
            dead_letters.attempts(session, delivery_id),
        )

    assert shown.id == delivery_id
    assert [row.number for row in history] == [1, 2, 3]


def test_a_replay_runs_the_handler_again_with_all_its_attempts(bus: Bus) -> None:
    with transaction() as session:
        replays.start(session, who="ada", why="repaired", ids=delivery_ids()[:1])
    Handlers.broken = False
    bus.drain()

    assert [row.state for row in deliveries()] == ["done", "dead", "dead"]
    assert marks() == {"a": 1}
    assert audited() == [("ada", "replay", delivery_ids()[0], "repaired")]


def test_a_replay_that_fails_again_is_dead_after_as_many_attempts(bus: Bus) -> None:
    before = len(failed_attempts())
    with transaction() as session:
        replays.start(session, who="ada", why="test", queue="others")
    for _ in range(4):
        bus.advance(100)

    assert (
        delivery("others.fail").state,
        delivery("others.fail").attempts,
        len(failed_attempts()) - before,
    ) == ("dead", 3, 3)


@pytest.mark.parametrize(
    ("chosen", "count"),
    [({"queue": "notes"}, 3), ({"subscription": "others.fail"}, 1), ({"everything": True}, 4)],
)
def test_a_group_is_replayed_or_discarded_at_once_and_is_one_line_of_the_audit(
    chosen: dict[str, object], count: int, bus: Bus
) -> None:
    with transaction() as session:
        job = replays.start(session, who="ada", why="test", **chosen)  # type: ignore[arg-type]
    for _ in range(3):
        bus.advance(100)
    assert dead_letters.discard(who="bob", why="test", **chosen) == count  # type: ignore[arg-type]

    with reading() as session:
        lines = [(row.who, row.count, row.parameters) for row in audit.listed(session)]
    paced = {"replay": job.id, "rate": None, "steps": [], "stop_above": 0.1}
    assert lines == [("bob", count, chosen), ("ada", count, chosen | paced)]


def test_a_discarded_delivery_is_never_handled_and_leaves_the_list(bus: Bus) -> None:
    dead_letters.discard(who="ada", why="spam", everything=True)
    Handlers.broken = False
    bus.advance(1000)

    assert marks() == {}
    with reading() as session:
        assert (
            dead_letters.count(session),
            dead_letters.listed(session),
            dead_letters.groups(session),
        ) == (0, [], [])
        with pytest.raises(UnknownDelivery):
            dead_letters.show(session, delivery_ids()[0])


def test_a_discarded_delivery_cannot_be_replayed(bus: Bus) -> None:
    dead_letters.discard(who="ada", why="test", queue="notes")
    with transaction() as session, pytest.raises(UnknownDelivery):
        replays.start(session, who="ada", why="test", ids=delivery_ids()[:1])


def test_one_unknown_id_among_known_ones_changes_nothing(bus: Bus) -> None:
    with (
        pytest.raises(UnknownDelivery, match="no dead letter has the id 'nonsense'"),
        transaction() as session,
    ):
        replays.start(session, who="ada", why="test", ids=[*delivery_ids(), "nonsense"])

    assert {row.state for row in deliveries()} == {"dead"}


@pytest.mark.parametrize(
    "delivery_id",
    [
        "",
        ":",
        "nonsense",
        "nonsense:notes.mark",
        "0197a3c1-0000-7000-8000-000000000001",
        "0197a3c1-0000-7000-8000-000000000001:notes.mark",
        "0197a3c1-0000-7000-8000-000000000001:\x00",
    ],
)
def test_an_id_of_no_dead_letter_raises_unknown_delivery(
    delivery_id: str, any_database: Database
) -> None:
    with reading() as session, pytest.raises(UnknownDelivery):
        dead_letters.show(session, delivery_id)


def test_acting_on_all_dead_letters_must_be_asked_for_explicitly(bus: Bus) -> None:
    with pytest.raises(ValueError, match="name the dead letters"):
        dead_letters.discard(who="ada", why="test")
    with transaction() as session, pytest.raises(ValueError, match="name the dead letters"):
        replays.start(session, who="ada", why="test")
    assert dead_letters.discard(who="ada", why="test", ids=[]) == 0
    with transaction() as session, pytest.raises(NothingToReplay):
        replays.start(session, who="ada", why="test", ids=[])


def test_a_replay_resets_the_counts_of_losses_and_starts(bus: Bus) -> None:
    with transaction() as session:
        for row in session.scalars(select(Delivery)):
            row.lost_count, row.unfinished_starts = 5, 3
    with transaction() as session:
        replays.start(session, who="ada", why="test", everything=True)

    assert {
        (row.lost_count, row.unfinished_starts, row.attempts, row.died_at) for row in deliveries()
    } == {(0, 0, 0, None)}
