"""The limit on orders from one address: its default, its count over processes, its database."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text

import web
from events import Database, clock, reading, transaction
from events.testing import ManualClock
from tests.web.payloads import order_payload
from web.rate_limit import DatabaseStorage, RateLimitCount

ADDRESS = {"REMOTE_ADDR": "203.0.113.9"}


def _statuses(client: FlaskClient, count: int, **options: Any) -> list[int]:
    return [
        client.post("/api/v1/orders", json=order_payload(), **options).status_code
        for _ in range(count)
    ]


def test_by_default_an_address_may_place_120_orders_a_minute(client: FlaskClient):
    answers = _statuses(client, 125, environ_overrides=ADDRESS)

    assert answers[:90] == [202] * 90
    assert answers[120:] == [429] * 5


def test_by_default_this_machine_has_no_limit(client: FlaskClient):
    assert 429 not in _statuses(client, 125)


def test_off_is_no_limit(stocked: None, environment: pytest.MonkeyPatch):
    environment.setenv("RATE_LIMIT", "off")
    client = web.create_app().test_client()

    assert 429 not in _statuses(client, 125, environ_overrides=ADDRESS)


def test_api_and_form_have_one_limit(stocked: None, environment: pytest.MonkeyPatch):
    environment.setenv("RATE_LIMIT", "2/hour")
    client = web.create_app().test_client()

    assert _statuses(client, 2) == [202, 202]
    assert client.post("/orders", data={}).status_code in (400, 429)
    assert _statuses(client, 1) == [429]


@pytest.fixture
def storages(any_database: Database) -> tuple[DatabaseStorage, DatabaseStorage]:
    """Two storages, each as a process of its own would have it."""
    return DatabaseStorage(), DatabaseStorage()


def test_two_processes_count_together(storages: tuple[DatabaseStorage, DatabaseStorage]):
    one, other = storages

    counts = [each.incr("LIMITER/a/orders/9/1/minute", 60) for each in (one, other, one, other)]

    assert counts == [1, 2, 3, 4]
    assert one.incr("LIMITER/b/orders/9/1/minute", 60) == 1


def test_of_a_high_limit_a_process_tells_the_others_in_steps(
    storages: tuple[DatabaseStorage, DatabaseStorage],
):
    one, other = storages
    key = "LIMITER/a/orders/100/1/minute"

    counts = [one.incr(key, 60) for _ in range(8)]
    with reading() as session:
        rows = session.scalars(select(RateLimitCount.count)).all()

    assert (counts, rows) == (list(range(1, 9)), [8])
    assert [other.incr(key, 60) for _ in range(4)][-1] == 12


def test_a_window_ends_for_all_processes(storages: tuple[DatabaseStorage, DatabaseStorage]):
    one, other = storages
    key, moved = "LIMITER/a/orders/3/1/minute", ManualClock()
    clock.follow(moved)
    try:
        assert [each.incr(key, 60) for each in (one, one, other)] == [1, 2, 3]
        moved.advance(61)
        assert [each.incr(key, 60) for each in (other, one)] == [1, 2]
    finally:
        clock.follow(None)


def test_a_clock_that_goes_back_ends_a_window(storages: tuple[DatabaseStorage, DatabaseStorage]):
    one, other = storages
    key, moved = "LIMITER/a/orders/3/1/minute", ManualClock()
    clock.follow(moved)
    try:
        counts = [each.incr(key, 60) for each in (one, other, one, other)]
        moved.advance(-3600)
        after = [one.get(key), one.incr(key, 60), other.incr(key, 60)]
        expires_in = one.get_expiry(key) - time.time()
    finally:
        clock.follow(None)

    assert (counts, after) == ([1, 2, 3, 4], [0, 1, 2])
    assert expires_in <= 61


def test_beyond_the_limit_the_database_is_left_alone(
    storages: tuple[DatabaseStorage, DatabaseStorage],
):
    one, _ = storages
    key = "LIMITER/a/orders/2/1/minute"

    assert [one.incr(key, 60) for _ in range(5)] == [1, 2, 3, 4, 5]
    with reading() as session:
        assert session.scalars(select(RateLimitCount.count)).all() == [2]


def test_ended_windows_are_deleted(storages: tuple[DatabaseStorage, DatabaseStorage]):
    one, _ = storages
    with transaction() as session:
        past = clock.now() - timedelta(hours=1)
        session.add(RateLimitCount(digest="past", count=1, ends_at=past))

    one.incr("LIMITER/a/orders/2/1/minute", 60)

    with reading() as session:
        assert session.scalars(select(RateLimitCount.count)).all() == [1]


def test_without_the_table_each_process_counts_alone(database: Database, tmp_path: Path):
    with transaction() as session:
        session.execute(text("DROP TABLE rate_limits"))
    one = DatabaseStorage()

    assert [one.incr("LIMITER/a/orders/2/1/minute", 60) for _ in range(3)] == [1, 2, 3]


def test_no_address_is_stored(client: FlaskClient):
    _statuses(client, 6, environ_overrides=ADDRESS)

    with reading() as session:
        [row] = session.scalars(select(RateLimitCount))
    assert len(row.digest) == 64
    assert "203.0.113.9" not in row.digest
