"""Queries of the relay cost no more with a large backlog or a long history."""

from collections import Counter
from typing import Any

from sqlalchemy import event, insert, text
from uuid_utils.compat import uuid7

from events import Database, clock, ledger, reading, transaction
from events.admin import queues, subscriptions
from events.relay.round import do_round, survey
from events.relay.sending import SEND_BATCH
from events.relay.window import MESSAGES_PER_SLOT
from events.tables import LogEntry
from tests.events.sample import new_subscription

TENS = new_subscription(batch=10)


def test_marking_a_part_of_a_large_backlog_is_quick(postgres_database: Database) -> None:
    # The limited, locking subquery of one UPDATE ran again for each row: minutes for 20,000.
    now, event_ids = clock.now(), [uuid7() for _ in range(5000)]
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
        ledger.insert_deliveries(session, rows)

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
        survey(session, Counter())
        queues.overview(session)
        queries = [each for each in executed if "deliveries" in each[0]]
        plans = [
            str(session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all())
            for sql, values in queries
        ]

    assert "ix_deliveries_due" in plans[0]
    assert "ix_deliveries_in_flight" in plans[0]
    assert [plan for plan in plans if "SCAN deliveries'" in plan] == []
