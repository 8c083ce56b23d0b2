"""Bulk acts in slices: short transactions, and a true count when they are stopped."""

import sqlite3
from collections.abc import Sequence

import pytest
from sqlalchemy.orm import Session

from events import Database, reading, slice_size
from events.admin import audit, dead_letters, slices
from events.admin.audit_verification import verify
from events.database import snapshot
from events.errors import DeadLetter
from events.testing import Bus
from tests.events.sample import Noted, deliveries, new_subscription, note


def give_up(event: Noted, session: object) -> None:
    raise DeadLetter("no")


@pytest.fixture
def dead(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database with five dead letters, of which a slice takes two."""
    monkeypatch.setattr(slices.carry_out, "__kwdefaults__", {"progress": None, "at_once": 2})
    with Bus(subscriptions=[new_subscription(give_up)], fail_fast=False) as bus:
        note(*map(str, range(5)))
        bus.drain()
    return any_database


def the_line() -> audit.AuditLine:
    with reading() as session:
        [line] = audit.listed(session)
    with snapshot() as session:
        assert verify(session).faults == []
    return line


def test_an_act_in_slices_is_one_line_with_the_whole_count(dead: Database) -> None:
    done: list[int] = []

    assert dead_letters.discard(who="ada", why="t", everything=True, progress=done.append) == 5

    assert done == [2, 2, 1]
    assert (the_line().count, the_line().finished) == (5, True)


def test_an_act_that_is_stopped_has_done_whole_slices_and_says_how_many(dead: Database) -> None:
    def stop(rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dead_letters.discard(who="ada", why="t", everything=True, progress=stop)

    assert sum(row.state == "discarded" for row in deliveries()) == 2
    assert (the_line().count, the_line().finished) == (2, False)


@pytest.mark.parametrize(("target", "sizes"), [(0, [100, *5 * [10]]), (60, [100, 50])])
def test_a_slice_that_held_the_lock_too_long_is_followed_by_smaller_ones(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, target: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(slice_size, "TARGET", target)
    left = list(range(150))
    changed: list[int] = []

    def change(session: Session, rows: Sequence[int], _: object) -> int:
        changed.append(len(rows))
        del left[: len(rows)]
        return len(rows)

    stage = slices.Stage(lambda _, limit: left[:limit], change)
    assert slices.carry_out(audit.Act("ada", "erase", "all", "t"), [stage]) == 150

    assert changed == sizes
    assert (the_line().count, the_line().finished) == (150, True)


def test_between_two_slices_the_write_lock_is_free(dead: Database) -> None:
    if not dead.sqlite:
        pytest.skip("PostgreSQL has no lock of the whole database")
    others: list[int] = []

    def write(rows: int) -> None:
        with sqlite3.connect(str(dead.url.database), timeout=0, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        others.append(rows)

    dead_letters.discard(who="ada", why="t", everything=True, progress=write)
    assert others == [2, 2, 1]
