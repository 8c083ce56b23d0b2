"""Idempotency-Key: one order per key, however often and however fast it is sent."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from events import clock, transaction
from events.admin.person import find
from events.database import database
from tests.servers import HANG
from tests.web.payloads import NO_ROWS, OPS, order_payload, payload_with, row_counts
from web import idempotency
from web.idempotency import IdempotencyKey


def _place(
    app: Flask, order: dict[str, Any], key: str | None = "k-1", **headers: str
) -> TestResponse:
    return app.test_client().post(
        "/api/v1/orders", json=order, headers=headers | ({"Idempotency-Key": key} if key else {})
    )


def test_the_same_key_and_body_get_the_first_answer_again(any_app: Flask):
    first, second = _place(any_app, order_payload()), _place(any_app, order_payload())

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json == second.json
    assert first.headers["Location"] == second.headers["Location"]
    assert [answer.headers["Idempotency-Replayed"] for answer in (first, second)] == [
        "false",
        "true",
    ]
    assert row_counts() == {"orders": 1, "events": 1, "idempotency_keys": 1}


def test_the_first_answer_stays_when_the_order_has_moved_on(any_app: Flask):
    first = _place(any_app, order_payload())
    any_app.test_client().post(
        first.json["links"]["cancel"], headers={"Authorization": f"Bearer {first.json['token']}"}
    )

    assert _place(any_app, order_payload()).json == first.json


def test_spaces_and_the_order_of_fields_make_no_other_body(any_app: Flask):
    first = _place(any_app, order_payload())
    second = _place(any_app, dict(reversed(order_payload().items())))

    assert second.json == first.json


def test_the_same_key_with_another_body_is_refused(any_app: Flask):
    _place(any_app, order_payload())
    second = _place(any_app, payload_with("items.0.quantity", 3))

    assert (second.status_code, second.json["title"]) == (422, "Idempotency key reused")
    assert row_counts()["orders"] == 1


def test_without_a_key_each_request_is_an_order(any_app: Flask):
    assert (
        _place(any_app, order_payload(), None).json["id"]
        != _place(any_app, order_payload(), None).json["id"]
    )


def test_a_key_belongs_to_its_tenant_and_user(any_app: Flask):
    answers = [
        _place(any_app, order_payload(), **headers)
        for headers in ({}, {"X-Tenant-Id": "acme"}, {"X-Tenant-Id": "other"}, OPS)
    ]

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 4


@pytest.mark.parametrize("email", ["eve@example.org", "ada@example.com", "ada@example.orgx"])
def test_a_customer_who_repeats_the_key_of_another_gets_an_order_of_their_own(
    any_app: Flask, email: str
):
    first = _place(any_app, order_payload())

    other = _place(any_app, payload_with("customer.email", email))

    assert (other.status_code, other.headers["Idempotency-Replayed"]) == (202, "false")
    assert other.json["id"] != first.json["id"]
    assert other.json["token"] != first.json["token"]
    assert _place(any_app, order_payload()).json == first.json


def test_the_key_of_a_customer_stays_theirs_in_any_capitals_of_the_address(any_app: Flask):
    _place(any_app, order_payload())

    second = _place(any_app, payload_with("customer.email", "Ada@EXAMPLE.org"))

    assert (second.status_code, second.json["title"]) == (422, "Idempotency key reused")


def test_an_operator_is_known_by_the_login_and_not_by_the_customer_of_the_order(any_app: Flask):
    _place(any_app, order_payload(), **OPS)

    second = _place(any_app, payload_with("customer.email", "eve@example.org"), **OPS)

    assert (second.status_code, second.json["title"]) == (422, "Idempotency key reused")


def test_a_refused_order_leaves_its_key_free(any_app: Flask):
    refused = _place(any_app, payload_with("items.0.sku", "NO-SUCH-THING"))
    assert (refused.status_code, row_counts()) == (422, NO_ROWS)

    assert _place(any_app, order_payload()).status_code == 202


def test_many_at_once_with_one_key_make_one_order(any_app: Flask):
    start = Barrier(8)

    def place(_: int) -> TestResponse:
        start.wait(HANG)
        return _place(any_app, order_payload())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(place, range(8)))

    accepted = [answer for answer in answers if answer.status_code == 202]
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.json["id"] for answer in accepted}) == 1
    assert sum(answer.headers["Idempotency-Replayed"] == "false" for answer in accepted) == 1
    assert row_counts() == {"orders": 1, "events": 1, "idempotency_keys": 1}


def test_a_key_whose_first_use_still_runs_is_told_so(any_app: Flask):
    if database().sqlite:
        pytest.skip("on SQLite the second request waits for the result of the first")
    with any_app.app_context(), transaction() as session:
        idempotency.once(session, "k-1", "another request", dict, customer="ada@example.org")
        while_running = _place(any_app, order_payload())

    assert (while_running.status_code, while_running.json["title"]) == (409, "Still running")
    assert while_running.headers["Retry-After"] == "1"
    assert row_counts()["orders"] == 0


def test_a_key_is_forgotten_after_a_day(any_app: Flask):
    first = _place(any_app, order_payload())
    with transaction() as session:
        [row] = session.query(IdempotencyKey)
        row.created_at = clock.now() - timedelta(hours=25)

    second = _place(any_app, payload_with("items.0.quantity", 3))

    assert (second.status_code, second.json["id"] != first.json["id"]) == (202, True)
    assert row_counts() == {"orders": 2, "events": 2, "idempotency_keys": 1}


def test_a_new_key_takes_expired_ones_away(any_app: Flask):
    for number in range(5):
        _place(any_app, order_payload(), f"old-{number}")
    with transaction() as session:
        for row in session.query(IdempotencyKey):
            row.created_at = clock.now() - timedelta(hours=25)

    _place(any_app, order_payload(), "new")

    assert row_counts()["idempotency_keys"] == 1


def test_a_key_is_not_kept_in_the_clear(client: FlaskClient):
    client.post(
        "/api/v1/orders", json=order_payload(), headers={"Idempotency-Key": "ada@example.org"}
    )

    with transaction() as session:
        [row] = session.query(IdempotencyKey)
    assert "ada" not in row.digest


def test_an_erasure_finds_the_keys_of_a_person_by_an_index(any_app: Flask):
    _place(any_app, order_payload())
    executed: list[tuple[str, Any]] = []
    listening = (database().writer, "before_cursor_execute")
    event.listen(*listening, lambda c, _, sql, values, *__: executed.append((sql, values)))
    with transaction() as session:
        person = find(session, "ada@example.org", subjects={"ORD-1001"})
        idempotency.erase(person).find(session, 10)
        connection = session.connection()
        if not database().sqlite:  # a table of one row is read whole, if that is not forbidden
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN QUERY PLAN" if database().sqlite else "EXPLAIN"
        plans = [
            str(connection.exec_driver_sql(f"{explain} {sql}", values).all())
            for sql, values in list(executed)
            if sql.startswith("SELECT") and "FROM idempotency_keys" in sql
        ]

    assert plans
    assert [plan for plan in plans if "ix_idempotency_keys_order_id" not in plan] == []


def test_two_keys_or_one_that_is_sent_twice_are_refused(any_app: Flask):
    for both in ("k-1,k-2", "k-1,k-1", '"k-1", "k-1"'):  # as the server joins two headers
        refused = _place(any_app, order_payload(), key=both)

        assert (refused.status_code, refused.json["errors"][0]["field"]) == (
            422,
            "Idempotency-Key",
        )
        assert "one key" in refused.json["errors"][0]["message"]
