"""The search of events and dead letters on both databases: exact, literal, and bounded."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, insert, select, text, update

from events import Database, clock, reading, transaction
from events.search import dead, find
from events.search.query import DEAD_LETTER_FIELDS, Query, parse
from events.tables import Attempt, Delivery, LogEntry

COUNT = 60
BEGIN = clock.now().replace(microsecond=0) - timedelta(days=30)


def _event(number: int) -> dict[str, Any]:
    return {
        "position": number,
        "id": uuid4(),
        "type": "order.created" if number % 2 else "order.shipped",
        "version": 1,
        "source": "test",
        "subject": f"N-{number}",
        "time": BEGIN + timedelta(hours=number),
        "correlation_id": uuid4(),
        "actor": {"user": "ada" if number % 10 == 0 else "bob", "tenant": f"t{number % 3}"},
        "data": {
            "number": number,
            "paid": number % 4 == 0,
            "customer": {"email": f"c{number}@example.org", "name": "Añ%_"},
            "lines": [{"sku": "MUG"}, {"sku": f"S{number}"}],
        },
        "publish_at": BEGIN,
        "relayed_at": BEGIN,
    }


@pytest.fixture
def events(any_database: Database) -> list[dict[str, Any]]:
    """Sixty events, an hour apart; each tenth has a dead delivery and a failed attempt."""
    rows = [_event(number) for number in range(1, COUNT + 1)]
    tenth = [row for row in rows if row["position"] % 10 == 0]
    with transaction() as session:
        session.execute(insert(LogEntry), rows)
        session.execute(insert(Delivery), [_death(row) for row in tenth])
        session.execute(insert(Attempt), [_attempt(row) for row in tenth])
    return rows


def _death(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": row["id"],
        "subscription": "mail.send",
        "queue": "mail",
        "state": "dead",
        "due_at": row["time"],
        "died_at": row["time"],
        "error": f"Timeout: 50% of N_{row['position']} timed out",
        "fingerprint": "Timeout x.py:1 f",
    }


def _attempt(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": row["id"],
        "subscription": "mail.send",
        "number": 1,
        "send": 1,
        "started_at": row["time"],
        "took": 1.0,
        "worker": "w",
        "error_type": "Timeout",
        "message": f"attempt {row['position']}",
        "traceback": "",
    }


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A window of twenty rows."""
    for module in (find, dead):
        monkeypatch.setattr(module, "WINDOW", 20)
    return iter([20])


def _found(query: str, **options: Any) -> list[int]:
    with reading() as session:
        return [row.position for row in find.events(session, parse(query), **options).rows]


def _dead(query: str, **options: Any) -> list[str | None]:
    with reading() as session:
        wanted = parse(query, DEAD_LETTER_FIELDS)
        return [row.subject for row in dead.search(session, wanted, **options).rows]


def test_each_term_finds_its_events(events: list[dict[str, Any]]):
    moment = (BEGIN + timedelta(hours=58)).isoformat().replace("+00:00", "")
    for query, positions in {
        "type:order.shipped": list(range(60, 0, -2)),
        "subject:N-7": [7],
        f"id:{events[6]['id']}": [7],
        f"correlation:{events[6]['correlation_id']}": [7],
        "user:ada": [60, 50, 40, 30, 20, 10],
        "tenant:t0 user:ada": [60, 30],
        f"since:{moment}": [60, 59, 58],
        f"until:{moment} user:ada": [50, 40, 30, 20, 10],
        "data.customer.email=c9@example.org": [9],
        "data.lines.1.sku=S8": [8],
        "data.number=12": [12],
        "data.paid=true type:order.shipped user:ada": [60, 40, 20],
        "data.paid=false data.number=3": [3],
        "error:TIMED": [60, 50, 40, 30, 20, 10],
        'error:"attempt 30"': [30],
        "user:eve": [],
        "data.nothing.here=x": [],
        "data.lines.7.sku=x": [],
        "data.customer=x": [],
    }.items():
        assert _found(query) == positions, query


def test_an_email_address_is_found_by_any_spelling(events: list[dict[str, Any]]):
    stored = {7: "Zoe@xn--mnchen-3ya.example", 8: "zoe@MÜNCHEN.example", 9: "azoe@münchen.example"}
    with transaction() as session:
        for position, email in stored.items():
            entry = session.scalars(select(LogEntry).where(LogEntry.position == position)).one()
            entry.data = entry.data | {"customer": {"email": email}}

    for typed in (
        "ZOE@münchen.example",
        "zoe@XN--MNCHEN-3YA.example",
        "mailto:zoe@münchen.example",
    ):
        assert _found(f"data.customer.email={typed}") == [8, 7], typed
    assert _found('data.customer.email="Zoe <zoe@münchen.example>"') == [8, 7]
    assert _found("data.customer.email=C9@Example.org") == []
    assert _found("data.customer.email=C10@Example.org") == [10]


def test_what_looks_like_a_pattern_is_meant_as_it_is(events: list[dict[str, Any]]):
    assert len(_found("error:50%")) == 6
    assert _found("error:N_10") == [10]
    for query in ("error:5%t", "error:N__0", "error:.*", "user:a%", "user:_da", "subject:N-%"):
        assert _found(query) == [], query
    assert len(_found("data.customer.name=Añ%_")) == 50
    for query in ("data.customer.name=%", "data.customer.name=Añ__", """error:');--"""):
        assert _found(query) == [], query
        assert _dead(query) == [], query


def test_each_term_finds_its_dead_letters(events: list[dict[str, Any]]):
    everything = [f"N-{number}" for number in (60, 50, 40, 30, 20, 10)]
    assert _dead("") == _dead("queue:mail") == _dead("error:timed user:ada") == everything
    assert _dead("subject:N-30") == _dead("data.number=30") == _dead("error:N_30") == ["N-30"]
    assert _dead("queue:other") == _dead("subject:N-7") == _dead("tenant:x") == []
    assert _dead('fingerprint:"Timeout x.py:1 f" type:order.shipped') == everything
    assert _dead("queue:mail", queue="other") == []
    until = (BEGIN + timedelta(hours=20)).isoformat().replace("+00:00", "")
    assert _dead(f"until:{until}") == ["N-10"]


def test_a_search_that_reads_rows_reads_the_newest_and_says_so(
    events: list[dict[str, Any]], window: Iterator[int]
):
    with reading() as session:
        first = find.events(session, parse("user:ada"))
        second = find.events(session, parse("user:ada"), before=first.older)
        last = find.events(session, parse("user:ada"), before=21)
        exact = find.events(session, parse("subject:N-1 user:bob"))
        of_type = find.events(session, parse("type:order.shipped data.number=2"))

    assert [row.position for row in first.rows] == [60, 50]
    assert first.note.startswith("searched the newest 20 of about 60 events")
    assert [row.position for row in second.rows] == [40, 30]
    assert (last.note, last.older) != ("", 1)
    assert [row.position for row in exact.rows] == [1]
    assert exact.note == ""
    assert list(of_type.rows) == []
    assert "searched the newest 20 events that an index finds" in of_type.note
    assert of_type.older == 22


def test_a_time_range_is_found_however_old_it_is(
    events: list[dict[str, Any]], window: Iterator[int]
):
    moments = [(BEGIN + timedelta(hours=n)).isoformat().replace("+00:00", "") for n in (5, 11)]

    assert _found(f"since:{moments[0]} until:{moments[1]} user:ada") == [10]
    assert _found("until:0001-01-01") == _found("since:9999-12-31") == []


def test_every_page_of_a_search_is_reached(events: list[dict[str, Any]], window: Iterator[int]):
    pages, before = [], None
    while True:
        with reading() as session:
            found = find.events(session, parse("user:bob"), before=before, limit=7)
        pages += [row.position for row in found.rows]
        before = found.older
        if before is None:
            break

    assert pages == [number for number in range(60, 0, -1) if number % 10]


def test_dead_letters_are_searched_in_a_window_too(
    events: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(dead, "WINDOW", 4)
    query = parse("data.number=10", DEAD_LETTER_FIELDS)
    with reading() as session:
        first = dead.search(session, query)
        second = dead.search(session, query, before=first.older)

    assert list(first.rows) == []
    assert first.note.startswith("searched the newest 4 of about 6 dead letters")
    assert [row.subject for row in second.rows] == ["N-10"]
    assert second.note == ""


def test_the_search_of_a_large_log_uses_indexes(events: list[dict[str, Any]]):
    """Both planners are told that there is no other way, and show if one is."""
    with transaction() as session:
        session.execute(update(LogEntry).values(source="test"))
        session.execute(text("ANALYZE"))
    with reading() as session:
        dialect = session.get_bind().dialect.name
        if dialect == "postgresql":
            session.execute(text("SET enable_seqscan = off"))
        statements = _statements(session)
        for query in ("user:ada", "type:order.shipped data.number=2", "error:x since:2020-01-01"):
            find.events(session, parse(query))
            dead.search(session, Query(parse(query).terms))
        explain = "EXPLAIN QUERY PLAN" if dialect == "sqlite" else "EXPLAIN"
        plans = [_plan(session, explain, *each) for each in list(statements)]

    assert len(plans) > 10
    for plan in plans:
        assert "Seq Scan" not in plan, plan
        assert "SCAN attempts" not in plan, plan
        assert "SCAN deliveries" not in plan.replace("SCAN deliveries USING", ""), plan


def _statements(session: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    event.listen(
        session.get_bind(),
        "before_cursor_execute",
        lambda c, cursor, statement, values, *_: found.append((statement, values)),
    )
    return found


def _plan(session: Any, explain: str, statement: str, values: Any) -> str:
    rows = session.connection().exec_driver_sql(f"{explain} {statement}", values)
    return f"{statement} -> " + "; ".join(str(row[-1]) for row in rows)
