"""Queries of the relay cost no more with a large backlog or a long history."""

from sqlalchemy import event, insert, text
from uuid_utils.compat import uuid7

from events import Database, clock, reading
from events.admin import queues, subscriptions
from events.relay.loss import last_settled
from events.relay.sending import due_times, mark_due_as_sent
from events.tables import Delivery, LogEntry
from tests.events.sample import (
    new_subscription,
)

TENS = new_subscription(batch=10)


def _row(id: object) -> dict[str, object]:
    zero = dict.fromkeys(("attempts", "sends", "lost_count", "unfinished_starts"), 0)
    return {
        "subscription": "notes.mark",
        "event_id": id,
        "queue": "notes",
        "state": "pending",
        "due_at": clock.now(),
        **zero,
    }


def test_marking_a_part_of_a_large_backlog_is_quick(postgres_url: str) -> None:
    # The limited, locking subquery of one UPDATE was run again for each of the rows: minutes for 20,000.
    database = Database(postgres_url)
    Delivery.metadata.create_all(database.writer)
    now, ids = clock.now(), [uuid7() for _ in range(5000)]
    origin = {
        "type": "sample.noted",
        "version": 1,
        "source": "sample",
        "time": now,
        "actor": {},
        "data": {},
        "publish_at": now,
    }
    try:
        with database.transaction() as session:
            subscriptions.register(session, [TENS])
            session.execute(
                insert(LogEntry),
                [{"id": id, "correlation_id": id, "relayed_at": now, **origin} for id in ids],
            )
            session.execute(insert(Delivery), [_row(id) for id in ids])
        with database.transaction() as session:
            session.execute(text("SET LOCAL statement_timeout = '2s'"))
            assert (
                sum(
                    len(message.event_ids)
                    for message in mark_due_as_sent(session, "notes.mark", limit=500)
                )
                == 500
            )
    finally:
        database.close()


def test_frequent_queries_read_the_open_deliveries_only(
    database: Database,
) -> None:
    # SQLite uses a partial index only if it sees the values of its condition in the statement.
    asked: list[tuple[str, object]] = []
    event.listen(
        database.reader,
        "before_cursor_execute",
        lambda c, cursor, statement, values, *_: asked.append((statement, values)),
    )
    with reading() as session:
        due_times(session)
        queues.overview(session)
        last_settled(session, "notes")
        questions = [each for each in asked if "deliveries" in each[0]]
        plans = [
            str(session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all())
            for sql, values in questions
        ]  # type: ignore[arg-type]

    assert "ix_deliveries_due" in plans[0]
    assert "ix_deliveries_done" in plans[-1]
    assert [plan for plan in plans if "SCAN deliveries'" in plan] == []
