"""Queries of the relay cost no more with a large backlog or a long history."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from events import Database, clock, ledger, reading, transaction
from events.admin import queues, subscriptions
from events.inbox import in_flight
from events.relay.round import do_round, survey
from events.relay.sending import SEND_BATCH
from events.retry import Decision
from events.slots import MESSAGES_PER_SLOT
from events.tables import LogEntry
from tests.events.sample import failure, new_subscription

TENS = new_subscription(batch=10)


def _insert(count: int, now: datetime, **values: Any) -> list[UUID]:
    """Insert so many deliveries with their events."""
    event_ids = [uuid7() for _ in range(count)]
    origin = {
        "type": "sample.noted",
        "version": 1,
        "source": "sample",
        "time": now,
        "actor": {},
        "data": {},
        "publish_at": now,
        "relayed_at": now,
    }
    with transaction() as session:
        subscriptions.register(session, [TENS])
        events = [{"id": each, "correlation_id": each, **origin} for each in event_ids]
        session.execute(insert(LogEntry), events)
        rows = [ledger.new_delivery(TENS.name, TENS.queue, each, now) for each in event_ids]
        ledger.insert_deliveries(session, [row | values for row in rows])
    return event_ids


def test_marking_a_part_of_a_large_backlog_is_quick(postgres_database: Database) -> None:
    # The limited, locking subquery of one UPDATE ran again for each row: minutes for 20,000.
    _insert(5000, clock.now())

    with transaction() as session:
        session.execute(text("SET LOCAL statement_timeout = '2s'"))
        messages = do_round(session, Counter({TENS.queue: 8})).messages
    assert 1 < len(messages) <= 8 * MESSAGES_PER_SLOT
    assert sum(len(message.event_ids) for message in messages) == SEND_BATCH


def test_frequent_queries_read_the_open_deliveries_only(database: Database) -> None:
    # SQLite uses a partial index only if it sees the values of its condition in the statement.
    executed: list[tuple[str, Any]] = []
    event.listen(
        database.reader,
        "before_cursor_execute",
        lambda c, cursor, statement, values, *_: executed.append((statement, values)),
    )
    with reading() as session:
        survey(session.connection(), Counter())
    assert len(executed) == 1, "an idle relay asks once after each commit of others"
    _insert(1, clock.now())
    with reading() as session:
        survey(session.connection(), Counter())
        queues.overview(session)
        queries = [each for each in executed if "deliveries" in each[0]]
        plans = [
            str(session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all())
            for sql, values in queries
        ]

    assert all("ix_deliveries_due" in plan for plan in plans[:3])
    assert "ix_deliveries_in_flight" in plans[2]
    assert [plan for plan in plans if "SCAN deliveries'" in plan] == []


_SCANNED = text("SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'deliveries'")


def test_a_claim_that_was_planned_in_an_empty_shop_reads_its_own_rows_only(
    postgres_database: Database,
) -> None:
    # psycopg prepares the sixth, and the server keeps one plan from its sixth on, until ANALYZE:
    # it locked each row that the worker had ever handled, 2.4 ms after 1,500.
    with transaction() as session:
        for _ in range(12):
            assert ledger.claim(session, TENS.name, [uuid7()]) == set()
    now = clock.now()
    first, second, *_ = _insert(1000, now, sent_at=now)

    with transaction() as session:
        assert ledger.claim(session, TENS.name, [first]) == {first}
        assert ledger.claim(session, TENS.name, [first, second]) == {second}
        assert session.scalar(_SCANNED) == 0


def _fail(session: Session, event_id: UUID) -> None:
    ledger.fail(session, TENS.name, event_id, failure(), Decision(wait=1.0))


@pytest.mark.parametrize(
    ("sent", "operation"),
    [
        (True, lambda session, each: in_flight(session.connection(), TENS.name, [each])),
        (True, lambda session, each: ledger.claim(session, TENS.name, [each])),
        (True, lambda session, each: ledger.count_start(session, TENS.name, each)),
        (True, lambda session, each: ledger.mark_lost(session, TENS.name, [each], delay=1.0)),
        (True, lambda session, each: ledger.unmark_sent(session, TENS.name, [each])),
        (
            True,
            lambda session, each: ledger.release(
                session, TENS.name, [each], wait=1.0, reason="paused"
            ),
        ),
        (True, _fail),
        (False, lambda session, each: ledger.mark_sent(session, TENS.name, [each], message="m")),
        (False, lambda session, each: ledger.defer(session, TENS.name, [each], clock.now())),
    ],
)
def test_a_delivery_is_found_by_its_key_though_the_open_ones_are_taken_for_none(
    postgres_database: Database, sent: bool, operation: Callable[[Session, UUID], Any]
) -> None:
    # An ANALYZE of an idle shop says so: a claim then read all that were in flight for each of
    # them, 5 ms with 200.
    now = clock.now()
    _insert(3000, now, state="done", sent_at=now)
    with transaction() as session:
        session.execute(text("ANALYZE deliveries"))
    event_id, *_ = _insert(300, now, sent_at=now if sent else None)
    executed: list[tuple[str, Any]] = []
    event.listen(
        postgres_database.writer,
        "before_cursor_execute",
        lambda c, cursor, statement, values, *_: executed.append((statement, values)),
    )

    with transaction() as session:
        operation(session, event_id)
    plans = []
    with transaction() as session:
        for sql, values in [each for each in executed if "deliveries" in each[0]]:
            found = session.connection().exec_driver_sql(f"EXPLAIN {sql}", values)
            plans.append("\n".join(found.scalars()))

    assert plans != []
    assert [plan for plan in plans if "pk_deliveries" not in plan or "ix_deliveries" in plan] == []
