"""PostgreSQL reads no more dead letters for a page than the page shows."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from events import Database, reading, transaction
from events.admin import dead_letters
from events.search import dead
from events.search.query import DEAD_LETTER_FIELDS, parse
from tasks import orders

# 2,000 dead letters of one moment, as an outage leaves them, of two subscriptions and a queue each.
EVENTS = """
INSERT INTO events (id, type, version, source, subject, time, correlation_id, actor, data,
    publish_at, relayed_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, 'order.created', 2, 'web', 'OLD-' || n, now(),
    lpad(to_hex(n), 32, '0')::uuid, '{}', '{}', now(), now() FROM generate_series(1, 2000) AS n
"""
DELIVERIES = """
INSERT INTO deliveries (event_id, subscription, queue, state, attempts, sends, lost_count,
    unfinished_starts, due_at, died_at, error, fingerprint)
SELECT lpad(to_hex(n), 32, '0')::uuid, name, split_part(name, '.', 1), state, 1, 1, 0, 0, now(),
    CASE state WHEN 'dead' THEN now() END, 'no route', 'cause ' || n % 2
FROM generate_series(1, 2000) AS n, (VALUES ('payment.charge', 'dead'), ('email.confirm', 'done'))
    AS subscribers (name, state)
"""


@pytest.fixture
def plans_of(postgres_database: Database) -> Callable[[Callable[[Session], Any]], str]:
    """Return the plans of the statements of a read, in a database with many dead letters."""
    with transaction() as session:
        session.execute(text(EVENTS))
        session.execute(text(DELIVERIES))
        session.execute(text("ANALYZE"))
    executed: list[tuple[str, Any]] = []
    event.listen(
        postgres_database.reader,
        "before_cursor_execute",
        lambda c, cursor, statement, values, *_: executed.append((statement, values)),
    )

    def plans(read: Callable[[Session], Any]) -> str:
        with reading() as session:
            session.execute(text("SET LOCAL enable_seqscan = off"))  # the tables are small
            executed.clear()
            read(session)
            driver = session.connection()
            found = [driver.exec_driver_sql(f"EXPLAIN {sql}", each) for sql, each in executed[:]]
            return "\n".join(str(row[0]) for rows in found for row in rows)

    return plans


def test_of_many_that_died_in_one_moment_no_more_are_read_than_shown(
    plans_of: Callable[[Callable[[Session], Any]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead, "WINDOW", 500)
    query = parse("error:refused", DEAD_LETTER_FIELDS)

    first = plans_of(lambda session: dead_letters.listed(session, limit=20))
    searched = plans_of(lambda session: dead.search(session, query, limit=20))
    marks = plans_of(lambda session: orders.with_dead_letter(session, ["OLD-7", "OLD-8"]))

    assert "ix_deliveries_deaths" in first
    assert "Sort" not in first + searched
    assert "Index Cond: (ROW(died_at, event_id, (subscription)::text) >= ROW(" in searched
    assert "pk_deliveries" in marks
    assert "ix_deliveries_deaths" not in marks


def test_a_queue_without_dead_letters_is_not_sought_among_those_of_others(
    plans_of: Callable[[Callable[[Session], Any]], str],
) -> None:
    found: list[Any] = []

    listed = plans_of(lambda session: found.extend(dead_letters.listed(session, queue="email")))

    assert not found
    assert "One-Time Filter: false" in listed  # it has no subscription with dead letters
