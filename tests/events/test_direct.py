"""Statements on the driver's cursor: rows, errors and listeners are as by SQLAlchemy."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, event, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from events import Database, clock, ledger, transaction
from events.database import looking
from events.dialects import dialect_of, fetch
from events.inbox import in_flight
from events.new_entries import new_entry
from events.relay.window import traffic
from events.tables import DELIVERIES, EVENTS
from tests.events.sample import SECRET, Noted, delivery, new_subscription, note, send

ODD = {"text": "\0 \ud83d \u2028 \"'\\%(x)s %s {} é 😀", "deep": [{"a": None}, 2**60, 0.1, True]}


def both_ways(read: Callable[[Connection], Any]) -> tuple[Any, Any]:
    """Return what is read on the driver's cursor, and what by SQLAlchemy."""
    with looking() as connection:
        directly = read(connection)
    with looking() as connection:
        event.listen(connection, "before_cursor_execute", lambda *_: None)
        return directly, read(connection)


def entry(**changes: Any) -> dict[str, Any]:
    return new_entry(Noted(text="a")) | changes


def insert(table: Table, *rows: dict[str, Any]) -> None:
    with transaction() as session:
        dialect_of(session).insert_rows(session, table, rows)


def test_rows_are_those_that_sqlalchemy_returns(postgres_database: Database) -> None:
    subscription = new_subscription()
    ids = note("a", "b")
    send(subscription)

    found, expected = both_ways(lambda c: in_flight(c, subscription.name, ids))
    assert (found, [each.envelope.id for each in found]) == (expected, ids)
    found, expected = both_ways(lambda c: traffic(c, Counter()))
    assert found == expected != []


def test_rows_are_inserted_as_they_are(any_database: Database) -> None:
    rows = [
        entry(data=ODD, actor={"user": "é\0"}),
        entry(subject="Ö 'x'\n%s", causation_id=uuid4()),
    ]
    insert(EVENTS, *rows)
    new = [ledger.new_delivery(f"sample.{i}", "sample", rows[0]["id"], clock.now()) for i in (1, 2)]
    insert(DELIVERIES, *new)

    with transaction() as session:
        columns = [EVENTS.c[name] for name in rows[0]]
        stored = session.execute(select(*columns).order_by(EVENTS.c.position)).all()
        assert [each._asdict() for each in stored] == rows
        columns = [DELIVERIES.c[name] for name in new[0]]
        stored = session.execute(select(*columns).order_by(DELIVERIES.c.subscription)).all()
        assert [each._asdict() for each in stored] == new


def test_a_moment_without_a_zone_is_refused_before_it_is_sent(any_database: Database) -> None:
    with pytest.raises(Exception, match="has no time zone"):
        insert(EVENTS, entry(time=clock.now().replace(tzinfo=None)))


def test_an_error_of_the_driver_is_sqlalchemys_and_hides_the_values(
    any_database: Database,
) -> None:
    row = entry(subject=SECRET)
    insert(EVENTS, row)
    with pytest.raises(IntegrityError) as caught:
        insert(EVENTS, row)
    assert isinstance(caught.value.orig, psycopg.Error | sqlite3.Error)
    assert SECRET not in str(caught.value)

    insert(EVENTS, entry())  # the connection is as good as before


def test_a_connection_that_is_lost_is_given_up(postgres_database: Database) -> None:
    new_subscription()
    with looking() as connection:
        server = connection.scalar(text("SELECT pg_backend_pid()"))
    end = text("SELECT pg_terminate_backend(:server, 5000)")
    other = Database(postgres_database.url.render_as_string(hide_password=False))
    with other.transaction() as session:
        assert session.scalar(end, {"server": server})
    other.close()

    with pytest.raises(OperationalError) as caught, looking() as connection:
        in_flight(connection, "sample.mark", [uuid4()])
    assert caught.value.connection_invalidated
    with looking() as connection:
        assert in_flight(connection, "sample.mark", [uuid4()]) == []


def test_an_error_in_a_transaction_rolls_all_of_it_back(any_database: Database) -> None:
    first, second = entry(), entry(version=2**40, type=None)

    def insert_each() -> None:
        with transaction() as session:
            for row in (first, second):
                dialect_of(session).insert_rows(session, EVENTS, [row])

    with pytest.raises(DBAPIError):
        insert_each()
    with transaction() as session:
        assert session.scalars(select(EVENTS.c.id)).all() == []


def test_who_listens_to_statements_hears_those_of_the_hot_path(postgres_database: Database) -> None:
    subscription, heard = new_subscription(), []
    [event_id] = note("a")
    send(subscription)
    event.listen(
        postgres_database.writer, "before_cursor_execute", lambda *given: heard.append(given[2])
    )

    with transaction() as session:
        assert ledger.claim(session, subscription.name, [event_id]) == {event_id}
    assert [each for each in heard if each.startswith("UPDATE deliveries")] != []
    assert delivery().state == "done"


def test_who_listens_hears_the_inserts_of_rows_with_their_defaults(any_database: Database) -> None:
    heard: list[str] = []
    event.listen(
        any_database.writer, "before_cursor_execute", lambda *given: heard.append(given[2])
    )
    [event_id] = note("a")
    rows = [ledger.new_delivery(f"a.{i}", "a", event_id, clock.now()) for i in (1, 2)]
    for row in rows:
        del row["lost_count"]  # which has a default
    insert(DELIVERIES, *rows)
    assert [each for each in heard if each.startswith("INSERT INTO deliveries")] != []
    with transaction() as session:
        assert session.scalars(select(DELIVERIES.c.lost_count)).all() == [0, 0]


def test_an_insert_has_the_columns_of_its_values(postgres_database: Database) -> None:
    numbers = iter(range(100))
    table = Table(
        "of_two_defaults",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("word", String(10)),
        Column("number", Integer, default=lambda: next(numbers)),
    )
    statement = sqlalchemy.insert(table).returning(*table.c)
    with transaction() as session:
        connection = session.connection()
        table.create(connection)

        def inserted(**values: Any) -> list[Any]:
            return [tuple(each) for each in fetch(connection, statement, values)]

        assert inserted(number=7) == [(1, None, 7)]
        assert inserted(word="a", number=8) == [(2, "a", 8)]
        assert inserted(word="b") == [(3, "b", 0)], "SQLAlchemy calls the default of the column"
        assert inserted(word="c") == [(4, "c", 1)]
        session.rollback()
