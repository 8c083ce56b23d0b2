"""No page and no endpoint reads the whole history, however long it is: queries use an index."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, text

from events import log, reading, transaction
from events.database import database
from events.search import dead, find
from tasks.orders import Order
from tests.web.pages import OPS_HTML, place_order, running_services

# A long history as ANALYZE describes it: a million events of 200,000 shipped orders.
STATISTICS = {
    ("orders", "ix_orders_email"): "200000 1",
    ("orders", "sqlite_autoindex_orders_1"): "200000 1",
    ("orders", "sqlite_autoindex_orders_2"): "200000 1",
    ("events", "ix_events_type_position"): "1000000 200000 1",
    ("events", "ix_events_subject"): "1000000 5",
    ("events", "ix_events_correlation_id"): "1000000 1",
    ("events", "sqlite_autoindex_events_1"): "1000000 1",
    ("deliveries", "ix_deliveries_causes"): "100000 100000 50000 50000 50000 50000",
    ("deliveries", "ix_deliveries_deaths"): "100000 100000 1 1",
    ("deliveries", "deliveries"): "5000000 5 1",
    ("attempts", "ix_attempts_delivery"): "100000 1 1",
}
PAGES = (
    *("/ops", "/ops/orders", "/ops/products", "/ops/events", "/ops/events/{event}"),
    *("/ops/events?type=order.created", "/ops/events?subject={number}", "/ops/orders/{order}"),
    *("/ops/orders/{order}/trace", "/ops/orders?state=stuck", "/api/v1/orders/stuck"),
    *(
        "/ops/dead-letters",
        "/ops/queues",
        "/ops/catalog",
        "/ops/mails",
        "/ops/schedules",
        "/ops/breakers",
        "/ops/alerts?preview=yes",
        "/orders/{order}",
    ),
    *("/api/v1/orders", "/api/v1/events", "/api/v1/dead-letters", "/api/v1/queues"),
    *("/ops/events?q=user:ada+since:2020-01-01", "/api/v1/events?q=type:order.created+error:x"),
    *("/ops/dead-letters?q=error:x+user:ada", "/api/v1/dead-letters?q=subject:{number}"),
    *("/api/v1/subscriptions", "/api/v1/orders/{order}", "/readyz", "/metrics", "/api/v1/stats"),
)
_WHOLE = re.compile(r"SCAN (orders|events|deliveries|attempts|timeline|mails)\b(?! USING)")
# The latest rows are read from the end of the table; with a condition, that may be all of it.
_LATEST = re.compile(
    r"^((?!WHERE).)*ORDER BY \S+ DESC\s+LIMIT \? OFFSET \? -> SCAN \w+$", re.DOTALL
)


@pytest.fixture
def addresses(client: FlaskClient) -> dict[str, str]:
    """An order and an event in a database that takes itself for a large one."""
    with running_services() as bus:
        place_order(client)
        bus.drain()
    with transaction() as session:
        session.execute(text("ANALYZE"))
        session.execute(text("DELETE FROM sqlite_stat1"))
        for (table, index), numbers in STATISTICS.items():
            values = {"table": table, "index": index, "numbers": numbers}
            session.execute(
                text("INSERT INTO sqlite_stat1 VALUES (:table, :index, :numbers)"), values
            )
    database().close()  # a connection reads the statistics when it opens the file
    with reading() as session:
        order = session.query(Order).one()
        [first, *_] = log.about(session, order.number)
        return {"order": order.id, "number": order.number, "event": str(first.id)}


def test_no_query_of_a_page_reads_a_whole_table(
    client: FlaskClient, addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (find, dead):
        monkeypatch.setattr(module, "WINDOW", 1)  # the log is longer
    executed: list[tuple[str, Any]] = []
    event.listen(
        database().reader,
        "before_cursor_execute",
        lambda c, cursor, statement, values, *_: executed.append((statement, values)),
    )

    for page in PAGES:
        answer = client.get(page.format(**addresses), headers=OPS_HTML)
        assert answer.status_code == 200, page

    queries = {sql: values for sql, values in executed if sql.lstrip().startswith("SELECT")}
    assert len(queries) > len(PAGES)
    plans = [each for each in map(_explained, queries.items()) if not _LATEST.search(each)]
    assert [each for each in plans if _WHOLE.search(each)] == []


def _explained(query: tuple[str, Any]) -> str:
    statement, values = query
    with reading() as session:
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return f"{statement} -> {'; '.join(row.detail for row in plan)}"
