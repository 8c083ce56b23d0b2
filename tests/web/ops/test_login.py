"""The login in front of the operators' pages, and the protection of their forms."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from events import Database, reading
from events.audit_tables import AuditEntry
from tests.web.pages import HTML, OPS_HTML, post

PAGES = [
    "",
    "/orders",
    "/products",
    "/events",
    "/dead-letters",
    "/queues",
    "/catalog",
    "/mails",
    "/schedules",
    "/breakers",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_of_operators_needs_the_login(no_write_client: FlaskClient, path: str):
    anonymous = no_write_client.get("/ops" + path, headers=HTML)
    assert anonymous.status_code == 401
    assert "Dead letters" not in anonymous.text
    answer = no_write_client.get("/ops" + path, headers=OPS_HTML)
    assert answer.status_code == 200
    assert "Dead letters" in answer.text


CHANGES = [
    "/ops/products/MUG-BLUE",
    "/ops/products/new",
    "/ops/products/MUG-BLUE/change",
    "/ops/dead-letters/replay",
    "/ops/dead-letters/discard",
    "/ops/dead-letters/x/replay",
    "/ops/dead-letters/x/discard",
    "/ops/dead-letters/invalid-messages/1/discard",
    "/ops/queues/payment.charge_order/pause",
    "/ops/queues/payment.charge_order/resume",
    "/ops/orders/01a2078e-dbc3-70e2-bd43-ff936927098b/cancel",
    "/ops/orders/01a2078e-dbc3-70e2-bd43-ff936927098b/replay",
]
FORMS = ["/ops/products/new", "/ops/products/MUG-BLUE/change"]  # GET shows the form


@pytest.mark.parametrize("path", CHANGES)
def test_nothing_is_changed_without_the_login_or_by_a_form_that_is_not_ours(
    no_write_client: FlaskClient, path: str
):
    typed = {"reason": "x", "quantity": "1"}

    assert no_write_client.post(path, data=typed, headers=OPS_HTML).status_code == 400
    assert post(no_write_client, "/", path, **typed).status_code == 401
    if path not in FORMS:
        assert no_write_client.get(path, headers=OPS_HTML).status_code in (404, 405)
    with reading() as session:
        assert session.scalars(select(AuditEntry)).all() == []


def test_while_the_database_is_down_operators_get_an_error_page(app: Flask, database: Database):
    client = app.test_client()
    with database.writer.begin() as connection:
        connection.exec_driver_sql("DROP TABLE subscriptions")

    answer = client.get("/ops/queues", headers=OPS_HTML)

    assert answer.status_code == 500
    assert "Internal error" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "events/01a2078e-dbc3-70e2-bd43-ff936927098b",
        "dead-letters/x",
        "dead-letters/1:2",
        "orders/1",
        "nothing",
    ],
)
def test_what_does_not_exist_is_a_page_that_says_so(no_write_client: FlaskClient, path: str):
    answer = no_write_client.get(f"/ops/{path}", headers=OPS_HTML)

    assert answer.status_code == 404
    assert "There is no page at this address" in answer.text
