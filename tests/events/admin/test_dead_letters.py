from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from events import Database, DeadLetter, reading, transaction
from events.admin import audit, dead_letters
from events.errors import UnknownDelivery
from events.tables import AuditEntry
from events.testing import Bus
from tests.events.sample import (
    Heard,
    Mark,
    Noted,
    deliveries,
    delivery,
    hearing,
    mark,
    marks,
    note,
    tries,
)


class Mood:
    """Whether the handlers are broken."""

    broken = True


def fail_here(event: Noted, session: Session) -> None:
    mark(event, session)
    if Mood.broken:
        raise DeadLetter(f"here: {event.text}")


def fail_there(event: Noted | Heard, session: Session) -> None:
    session.add(Mark(what=f"there {event.text}"))
    if Mood.broken:
        raise KeyError("there")


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    """Two subscriptions on two queues: three deliveries of the first are dead, and one of the second."""
    Mood.broken = True
    there = hearing(fail_there, Heard, name="others.fail")
    with Bus(subscriptions=[hearing(fail_here), there], fail_fast=False) as bus:
        note("a", "b", "c", subject="N-1")
        bus.publish(Heard(text="d"), subject="N-2")
        for _ in range(4):
            bus.advance(100)
        yield bus


def audited() -> list[tuple[str, str, str, str]]:
    with reading() as session:
        return [
            (row.who, row.action, row.target, row.why)
            for row in session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        ]


def ids() -> list[str]:
    return [row.id for row in deliveries()]


def test_the_list_shows_what_died_of_what_the_latest_first(bus: Bus) -> None:
    with reading() as session:
        found = dead_letters.listed(session)

    assert len(found) == 4
    latest = found[0]
    assert (latest.subscription, latest.queue, latest.event_type, latest.event_version) == (
        "others.fail",
        "others",
        "sample.heard",
        1,
    )
    assert (latest.subject, latest.attempts, latest.error) == ("N-2", 3, "KeyError: 'there'")
    assert [each.died_at for each in found] == sorted(
        (each.died_at for each in found), reverse=True
    )


def test_the_list_can_be_narrowed(bus: Bus) -> None:
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


def test_those_of_one_cause_are_one_group_the_largest_first(bus: Bus) -> None:
    with reading() as session:
        first, second = dead_letters.groups(session)

    assert (first.count, first.subscription, first.event_type) == (3, "notes.mark", "sample.noted")
    assert (second.count, second.queue, second.error) == (1, "others", "KeyError: 'there'")
    assert first.first <= first.last


def test_one_is_shown_with_every_try(bus: Bus) -> None:
    [id] = [row.id for row in deliveries("others.fail")]
    with reading() as session:
        shown, attempts = dead_letters.show(session, id), dead_letters.attempts(session, id)

    assert shown.id == id
    assert [row.number for row in attempts] == [1, 2, 3]


def test_a_replay_runs_the_handler_again_with_all_its_tries(bus: Bus) -> None:
    with transaction() as session:
        assert dead_letters.replay(session, who="ada", why="mended", ids=ids()[:1]) == 1
    Mood.broken = False
    bus.drain()

    assert [row.state for row in deliveries()] == ["done", "dead", "dead"]
    assert marks() == {"a": 1}
    assert audited() == [("ada", "replay", ids()[0], "mended")]


def test_a_replay_that_fails_again_dies_again_after_as_many_tries(bus: Bus) -> None:
    before = len(tries())
    with transaction() as session:
        dead_letters.replay(session, who="ada", queue="others")
    for _ in range(4):
        bus.advance(100)

    assert (
        delivery("others.fail").state,
        delivery("others.fail").attempts,
        len(tries()) - before,
    ) == ("dead", 3, 3)


@pytest.mark.parametrize(
    ("chosen", "count"),
    [({"queue": "notes"}, 3), ({"subscription": "others.fail"}, 1), ({"everything": True}, 4)],
)
def test_a_group_is_replayed_or_discarded_at_once_and_each_is_audited(
    chosen: dict[str, object], count: int, bus: Bus
) -> None:
    with transaction() as session:
        assert dead_letters.replay(session, who="ada", **chosen) == count  # type: ignore[arg-type]
    bus.advance(100)
    bus.advance(100)
    bus.advance(100)
    with transaction() as session:
        assert dead_letters.discard(session, who="bob", **chosen) == count  # type: ignore[arg-type]

    assert [who for who, *_ in audited()] == ["ada"] * count + ["bob"] * count


def test_what_is_discarded_is_never_handled_and_leaves_the_list(bus: Bus) -> None:
    with transaction() as session:
        dead_letters.discard(session, who="ada", why="spam", everything=True)
    Mood.broken = False
    bus.advance(1000)

    assert marks() == {}
    with reading() as session:
        assert (
            dead_letters.count(session),
            dead_letters.listed(session),
            dead_letters.groups(session),
        ) == (0, [], [])
        with pytest.raises(UnknownDelivery):
            dead_letters.show(session, ids()[0])


def test_what_was_discarded_or_done_cannot_be_replayed(bus: Bus) -> None:
    with transaction() as session:
        dead_letters.discard(session, who="ada", queue="notes")
    with transaction() as session, pytest.raises(UnknownDelivery):
        dead_letters.replay(session, who="ada", ids=ids()[:1])


def test_an_unknown_id_among_others_changes_nothing(bus: Bus) -> None:
    with (
        pytest.raises(UnknownDelivery, match="no dead letter has the id 'nonsense'"),
        transaction() as session,
    ):
        dead_letters.replay(session, who="ada", ids=[*ids(), "nonsense"])

    assert {row.state for row in deliveries()} == {"dead"}


@pytest.mark.parametrize(
    "id",
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
def test_an_id_that_is_no_dead_letters_is_answered_so(id: str, any_database: Database) -> None:
    with reading() as session, pytest.raises(UnknownDelivery):
        dead_letters.show(session, id)


@pytest.mark.parametrize("act", [dead_letters.replay, dead_letters.discard])
def test_to_act_on_all_of_them_one_has_to_say_so(act: object, bus: Bus) -> None:
    with transaction() as session, pytest.raises(ValueError, match="say which dead letters"):
        act(session, who="ada")  # type: ignore[operator]
    with transaction() as session:
        assert act(session, who="ada", ids=[]) == 0  # type: ignore[operator]


def test_a_replayed_delivery_starts_without_the_suspicion_it_died_with(bus: Bus) -> None:
    with transaction() as session:
        for row in session.scalars(select(type(delivery("others.fail")))):
            row.lost_count, row.unfinished_starts = 5, 3
    with transaction() as session:
        dead_letters.replay(session, who="ada", everything=True)

    assert {
        (row.lost_count, row.unfinished_starts, row.attempts, row.died_at) for row in deliveries()
    } == {(0, 0, 0, None)}


def test_the_audit_is_read_from_its_end(any_database: Database) -> None:
    with transaction() as session:
        for number in range(5):
            audit.record(session, who="ada", action="replay", target=f"d-{number}")

    with reading() as session:
        assert [row.target for row in audit.listed(session, limit=2)] == ["d-4", "d-3"]
