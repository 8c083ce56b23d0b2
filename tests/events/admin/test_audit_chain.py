"""The hash chain of the audit: what was deleted, changed, inserted or cut off is found."""

import threading

import pytest
from sqlalchemy import delete, text

from events import Database, clock, transaction
from events.admin import audit, audit_chain, retention
from events.admin.audit_verification import Mark, Verification, verify
from events.audit_tables import AuditEntry
from events.database import snapshot
from events.errors import ReasonMissing


def record(*targets: str) -> None:
    for target in targets:
        with transaction() as session:
            audit.record(session, who="ada", action="pause", target=target, why="test")


def verified(expected: Mark | None = None) -> Verification:
    with snapshot() as session:
        return verify(session, expected=expected)


def test_an_untouched_chain_is_whole(any_database: Database) -> None:
    record("a", "b", "c")

    assert (verified().lines, verified().faults) == (3, [])


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DELETE FROM audit WHERE id = 2", "line 2 is missing"),
        ("DELETE FROM audit WHERE id = 1", "line 1 is missing; no prune removed them"),
        ("DELETE FROM audit WHERE id >= 2", "lines 2 to 3 are missing"),
        ("DELETE FROM audit", "lines 1 to 3 are missing"),
        ("UPDATE audit SET why = 'other' WHERE id = 2", "the texts of line 2 were changed"),
        ("UPDATE audit SET who = 'bob' WHERE id = 2", "the texts of line 2 were changed"),
        ("UPDATE audit SET action = 'resume' WHERE id = 2", "line 2 was changed"),
        ("UPDATE audit SET count = 9 WHERE id = 1", "line 1, the first one, was changed"),
        ("DELETE FROM audit_head", "the end of the chain is not known: its head is missing"),
    ],
)
def test_each_change_by_hand_is_found(statement: str, fault: str, any_database: Database) -> None:
    record("a", "b", "c")
    with transaction() as session:
        session.execute(text(statement))

    assert fault in verified().faults


@pytest.mark.parametrize("line", [1, 2, 3])
def test_values_that_sqlite_takes_and_nothing_can_read_are_a_change_of_their_line(
    line: int, database: Database
) -> None:
    record("a", "b", "c")
    for value in ("at = 'noon'", "parameters = '{'", "parameters = '[]'", "salt = x'00ff'"):
        with transaction() as session:
            session.execute(text(f"UPDATE audit SET {value} WHERE id = {line}"))

        found = verified()
        assert (found.lines, found.faults) == (
            3,
            [f"line {line} was changed: its values cannot be read"],
        )


def test_lines_cut_off_with_the_head_stay_noticed_when_lines_follow(
    any_database: Database,
) -> None:
    record("a", "b", "c")
    with transaction() as session:
        session.execute(text("DELETE FROM audit WHERE id = 3"))
        session.execute(text("DELETE FROM audit_head"))
    record("d")

    assert verified().faults == [
        "before line 3 the head of the chain was gone; lines may be missing there"
    ]


def test_a_line_kept_elsewhere_shows_that_a_chain_was_made_anew(any_database: Database) -> None:
    record("a", "b")
    kept = verified().last
    with transaction() as session:
        session.execute(text("DELETE FROM audit"))
        session.execute(text("DELETE FROM audit_head"))
    record("a", "b")

    assert verified().faults == []
    assert verified(kept).faults == ["line 2 has another hash than the expected one"]


def test_writers_at_the_same_time_make_one_chain(any_database: Database) -> None:
    writers = [threading.Thread(target=record, args=[f"{n}"] * 10) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert (verified().lines, verified().faults) == (40, [])


def test_a_prune_of_old_lines_keeps_the_chain(any_database: Database) -> None:
    record("a", "b", "c")
    limit = clock.now()
    limits = retention.Limits(dead=limit, audit=limit)

    counts = retention.prune(limits, who="ada", why="test", at_once=1)

    assert counts.audit == 3
    assert (verified().first, verified().faults) == (4, [])
    with transaction() as session:
        session.execute(delete(AuditEntry).where(AuditEntry.id == 4))
    assert verified().faults == ["lines 1 to 4 are missing; no prune removed them"]


def test_texts_that_an_erasure_replaced_are_no_fault_but_others_are(
    any_database: Database,
) -> None:
    record("a", "b")
    act = audit.Act("ada", "erase", "customer x", "test")
    with transaction() as session:
        digest = audit_chain.redact(session, 1, {"why": "erased"})
        act.record(session, 1, ends=True, **{audit_chain.REDACTED: {"1": digest}})
    assert verified().faults == []

    with transaction() as session:
        session.execute(text("UPDATE audit SET why = 'invented' WHERE id = 1"))
    assert verified().faults == ["the texts of line 1 were changed"]


@pytest.mark.parametrize("why", ["", "  "])
def test_an_operators_act_without_a_reason_is_refused(why: str, database: Database) -> None:
    with pytest.raises(ReasonMissing, match="pause needs a reason"), transaction() as session:
        audit.record(session, who="ada", action="pause", target="a", why=why)


def test_customers_acts_push_no_operators_line_out(any_database: Database) -> None:
    record("a")
    with transaction() as session:
        for _ in range(20):
            audit.record(session, action="cancel", target="b", why="x", **audit.by(None))
        assert [line.target for line in audit.listed(session, limit=5)] == ["a"]
