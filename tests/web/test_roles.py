"""Roles: what each login may do, told by the pages, by the API and in the audit."""

import base64
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.security import generate_password_hash

import web
from events import clock, reading, transaction
from events.admin import audit, replays
from events.audit_tables import AuditEntry
from events.replays.steps import Pace
from events.tables import Delivery
from tasks.ops_login import Role
from tests.tidings.cli.calls import told
from tests.web.pages import HTML, place_order, post, running_services
from tests.web.payloads import OPS, bearer, order_payload
from web.roles import CHANGES, FOR_CUSTOMERS, NEEDED, needed

LOGINS = "ada:correct horse,bob:battery:operator,max:staple:viewer"
UNKNOWN = "01a2078e-dbc3-70e2-bd43-ff936927098b"
VALUES = {
    "delivery_id": f"{UNKNOWN}:payment.charge_order",
    "order_id": UNKNOWN,
    "name": "payment.charge_order",
    "sku": "MUG-BLUE",
    "typed_sku": "MUG-BLUE",
    "state": "on",
}


def _basic(login: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


OPERATOR, VIEWER = _basic("bob:battery"), _basic("max:staple")


@pytest.fixture
def staffed(environment: pytest.MonkeyPatch, stocked: None) -> Flask:
    """The application with a login of each role."""
    environment.setenv("OPS_AUTH", LOGINS)
    return web.create_app()


@pytest.fixture
def staff(staffed: Flask) -> FlaskClient:
    staffed.config["WTF_CSRF_ENABLED"] = False
    return staffed.test_client()


def _changes(app: Flask) -> list[tuple[str, str, str]]:
    """Return method, address and endpoint of all that changes something."""
    adapter = app.url_map.bind("")
    found = []
    for rule in app.url_map.iter_rules():
        values: dict[str, Any] = {name: VALUES.get(name, "1") for name in rule.arguments}
        found += [
            (method, adapter.build(rule.endpoint, values, method=method), rule.endpoint)
            for method in sorted((rule.methods or set()) & set(CHANGES))
        ]
    return found


def test_each_address_that_changes_something_has_its_role(app: Flask):
    endpoints = {endpoint for _, _, endpoint in _changes(app)}

    undeclared = endpoints - NEEDED.keys() - FOR_CUSTOMERS
    assert undeclared == set(), "declare the role of these endpoints in web/roles.py"
    assert (NEEDED.keys() | FOR_CUSTOMERS) - endpoints == set(), "these are no endpoints any more"


def test_a_change_that_nobody_declared_is_for_administrators():
    assert needed("ops.nothing.erase", "POST") is Role.ADMINISTRATOR
    assert needed("ops.nothing.erase", "GET") is Role.VIEWER


def test_a_viewer_changes_nothing_and_is_told_which_role_could(staffed: Flask, staff: FlaskClient):
    for method, path, endpoint in _changes(staffed):
        if endpoint in FOR_CUSTOMERS:
            continue
        refused = staff.open(path, method=method, headers=VIEWER, json={"reason": "x"})
        assert refused.status_code == 403, path
        assert refused.content_type == "application/problem+json"
        assert refused.json
        assert refused.json["title"] == "Missing role"
        assert f"needs the role {NEEDED[endpoint]}, and max is a viewer" in refused.json["detail"]
    with reading() as session:
        assert session.scalars(select(AuditEntry)).all() == []


def test_an_operator_changes_no_product_and_cancels_no_order(staffed: Flask, staff: FlaskClient):
    statuses = {
        (NEEDED[endpoint], staff.open(path, method=method, headers=OPERATOR).status_code == 403)
        for method, path, endpoint in _changes(staffed)
        if endpoint in NEEDED
    }

    assert statuses == {(Role.OPERATOR, False), (Role.ADMINISTRATOR, True)}


def test_an_administrator_is_refused_nothing_for_the_role(staffed: Flask, staff: FlaskClient):
    for method, path, endpoint in _changes(staffed):
        answer = staff.open(path, method=method, headers=OPS, json={"reason": "x"})
        assert answer.status_code != 403, endpoint


def test_a_login_is_known_by_name_and_role_on_pages_and_over_the_api(staff: FlaskClient):
    assert "<b>max</b> viewer" in staff.get("/ops", headers=HTML | VIEWER).text
    assert "<b>ada</b> administrator" in staff.get("/ops", headers=HTML | OPS).text
    who = staff.get("/api/v1/whoami", headers=OPERATOR)
    assert who.json == {"user": "bob", "role": "operator"}
    assert staff.get("/api/v1/whoami").status_code == 401
    assert staff.get("/ops", headers=_basic("bob:staple")).status_code == 401
    assert staff.get("/ops", headers=_basic("bob:battery:operator")).status_code == 401


def test_the_page_of_a_refused_form_says_which_role_it_needs(staffed: Flask):
    client = staffed.test_client()

    page = post(client, "/", "/ops/queues/x/pause", VIEWER, reason="x")

    assert page.status_code == 403
    assert "This needs the role operator, and max is a viewer." in page.text
    assert 'href="/ops/dead-letters"' in page.text


def test_a_button_that_one_may_not_press_is_disabled_and_says_why(staffed: Flask):
    client = staffed.test_client()
    with running_services() as bus:
        order = "/ops" + place_order(client).partition("?")[0]
        bus.drain()
    died = {"state": "dead", "fingerprint": "ValueError x", "died_at": clock.now()}
    with transaction() as session:
        letter = session.scalars(select(Delivery)).first()
        assert letter
        session.execute(update(Delivery).where(Delivery.event_id == letter.event_id).values(**died))
        letter_page = f"/ops/dead-letters/{letter.id}"

    def disabled(path: str, login: dict[str, str]) -> list[str]:
        page = client.get(path, headers=HTML | login)
        assert page.status_code == 200
        buttons = re.findall(r"<button[^>]* disabled [^>]*>(.*?)</button>", page.text)
        return [re.sub("<[^>]*>", "", each) for each in buttons]

    for path, labels in {
        "/ops/dead-letters": ["Replay", "Discard", "Replay selected", "Discard selected"],
        letter_page: ["Replay", "Discard"],
        "/ops/queues": ["Pause"],
        order: [],
    }.items():
        assert {f"{each} for operators" for each in labels} <= set(disabled(path, VIEWER)), path
        assert not [each for each in disabled(path, OPERATOR) if "for operators" in each], path
    for path in ("/ops/products", "/ops/products/new", "/ops/products/MUG-BLUE/change"):
        assert disabled(path, OPERATOR), path
        assert disabled(path, OPS) == [], path
    assert any(re.fullmatch(r"Replay \d… for operators", each) for each in disabled(order, VIEWER))


def test_no_page_offers_a_viewer_a_form_to_send(staffed: Flask):
    client = staffed.test_client()
    with running_services() as bus:
        order = "/ops" + place_order(client).partition("?")[0]
        bus.drain()
    died = {"state": "dead", "fingerprint": "ValueError x", "died_at": clock.now()}
    with transaction() as session:
        letter = session.scalars(select(Delivery)).first()
        assert letter
        session.execute(update(Delivery).values(**died))
        which = {"subscription": "timeline.tell"}
        job = replays.start(session, who="ada", why="x", pace=Pace((1,)), **which)
        assert job.state == "running"
    pages = [f"/ops/dead-letters/{letter.id}", f"/ops/events/{letter.event_id}", order]
    pages += [*_entries(client), f"{order}?ask=cancel", f"{order}?ask=replay"]
    replay_page = f"/ops/replays/{job.id}"

    offered = {page: found for page in [*pages, replay_page] if (found := _offered(client, page))}
    with transaction() as session:
        replays.stop(session, job.id, who="ada", why="x")
    again = _offered(client, replay_page)

    assert (offered, again) == ({}, [])
    assert len(pages) > 12


def _offered(client: FlaskClient, page: str) -> list[str]:
    """Return the buttons of forms that change something, as a viewer may press them."""
    text = client.get(page, headers=HTML | VIEWER).text
    assert "max</b> viewer" in text, page
    forms = re.findall(r'<form[^>]*method="post".*?</form>', text, re.DOTALL)
    return re.findall(r"<button(?![^>]* disabled)[^>]*>.*?</button>", "".join(forms))


def _entries(client: FlaskClient) -> list[str]:
    """Return the addresses of the navigation."""
    page = client.get("/ops", headers=HTML | VIEWER).text
    line = page.partition('aria-label="Main"')[2].partition("</nav>")[0]
    return re.findall(r'href="(/ops[^"]*)"', line)


def test_only_an_administrator_or_the_holder_of_its_token_cancels_an_order(staff: FlaskClient):
    placed = staff.post("/api/v1/orders", json=order_payload()).json
    assert placed
    for cancel in (placed["links"]["cancel"], f"/orders/{placed['id']}/cancel"):
        refused = staff.post(cancel, headers=OPERATOR)
        assert refused.status_code == 403
        assert "needs the role administrator" in refused.text
    page = f"/ops/orders/{placed['id']}"
    assert "Cancel this order… <small>for administrators" in staff.get(page, headers=VIEWER).text
    assert "for administrators" not in staff.get(placed["links"]["page"]).text

    cancelled = staff.post(placed["links"]["cancel"], headers=bearer(placed))

    assert cancelled.status_code == 200


def test_the_audit_has_the_role_of_the_login(staff: FlaskClient):
    with running_services():
        pass  # registers the subscriptions
    staff.post(
        "/api/v1/subscriptions/payment.charge_order/pause", headers=OPERATOR, json={"reason": "x"}
    )
    staff.post("/ops/products/MUG-BLUE", headers=OPS, data={"quantity": "1", "reason": "x"})

    with reading() as session:
        lines = audit.listed(session)
    assert [(each.who, each.login_role, each.action) for each in lines] == [
        ("ada", "administrator", "restock"),
        ("bob", "operator", "pause"),
    ]
    for page in ("/ops", "/ops/audit"):
        assert "bob <small>operator</small>" in staff.get(page, headers=HTML | VIEWER).text
    answer = staff.get("/api/v1/audit", headers=VIEWER).json
    assert answer
    assert [each["login_role"] for each in answer["lines"]] == ["administrator", "operator"]
    assert "bob (operator)" in told("audit")


@pytest.mark.parametrize("method", ["scrypt:1024:8:1", "pbkdf2:sha256:1000"])
def test_a_password_may_be_kept_as_a_hash(
    method: str,
    environment: pytest.MonkeyPatch,
    stocked: None,
    capsys: pytest.CaptureFixture[str],
):
    hashed = generate_password_hash("correct horse", method)
    environment.setenv("OPS_AUTH", f"max:{hashed}:viewer")
    client = web.create_app().test_client()
    right = _basic("max:correct horse")

    for _ in range(2):
        assert client.get("/api/v1/whoami", headers=right).json == {"user": "max", "role": "viewer"}
    for wrong in ("max:wrong horse", f"max:{hashed}", "bob:correct horse", "correct horse:max"):
        assert client.get("/ops", headers=_basic(wrong)).status_code == 401
    names = re.findall(r'"user": "([^"]*)"', capsys.readouterr().err)
    assert names == ["max", "max", "(hidden)", "(hidden)"]
