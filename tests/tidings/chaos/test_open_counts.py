"""The counts of open work."""

from sqlalchemy import event

from events import Database, reading
from events.testing import Bus
from tests.events.sample import new_subscription, note
from tidings.chaos.open_counts import OpenCounts, count_open


def test_open_work_is_counted_in_one_statement(any_database: Database):
    with Bus(subscriptions=[new_subscription()]) as bus:
        note("a", "b")
        with reading() as session:
            before = count_open(session)
        bus.drain()
        note("c")
        statements: list[str] = []
        event.listen(
            any_database.reader,
            "before_cursor_execute",
            lambda *call: statements.append(call[2]),
        )
        with reading() as session:
            after = count_open(session)

    assert (before, after) == (OpenCounts(2, 0, 0), OpenCounts(1, 0, 2))
    assert sum("SELECT" in each for each in statements) == 1
