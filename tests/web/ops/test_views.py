"""Saved views: a search under a name, on the page, over the API and in commands."""

from html import unescape

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from events import transaction
from events.admin import saved_views as views
from tests.tidings.cli.calls import answered, audited, call, told
from tests.web.pages import OPS_HTML, hidden_field
from tests.web.payloads import OPS

QUERY = 'type:order.created data.customer="<b>Ada</b> & co"'


def _page(client: FlaskClient, query: str | None = None, path: str = "events") -> str:
    return client.get(f"/ops/{path}", query_string={"q": query}, headers=OPS_HTML).text


def _post(client: FlaskClient, to: str, values: dict[str, str]) -> TestResponse:
    """Send a form of the page of events; follow where it leads."""
    token = {"csrf_token": hidden_field(_page(client, "type:x"), "csrf_token")}
    return client.post(to, data=values | token, headers=OPS_HTML, follow_redirects=True)


def _save(client: FlaskClient, query: str = QUERY, name: str = "Ada's <i>orders</i>") -> str:
    values = {"page": "events", "name": name, "q": query, "reason": "for <b>Ada</b>"}
    return _post(client, "/ops/views", values).text


def test_a_search_is_saved_found_and_removed_on_the_page(client: FlaskClient):
    assert 'id="views"' not in _page(client)

    saved = _save(client)

    assert "is saved." in saved
    assert "<i>orders" not in saved
    assert "<b>Ada" not in saved
    [(page, name, query)] = [
        (each["page"], each["name"], each["query"])
        for each in client.get("/api/v1/views", headers=OPS).json["views"]
    ]
    assert (page, name, query) == ("events", "Ada's <i>orders</i>", QUERY)
    link = _page(client).partition("Saved views:")[2].partition('href="')[2].partition('"')[0]
    assert "Remove this view" in client.get(f"/ops/events{unescape(link)}", headers=OPS_HTML).text
    assert "Ada&#39;s" not in _page(client, path="dead-letters")
    values = {"page": "events", "name": name, "reason": "over"}
    removed = _post(client, "/ops/views/remove", values)
    assert "is removed." in removed.text
    assert answered("views", "list") == []
    assert [act for act, _, _ in audited()] == ["remove view", "save view"]


def test_commands_and_api_save_list_and_remove_the_same_views(client: FlaskClient):
    told("views", "save", "dead-letters", "late", "queue:payment", "--why", "each morning")
    body = {"page": "events", "name": "created", "query": "type:order.created", "why": "x"}
    assert client.post("/api/v1/views", json=body, headers=OPS).status_code == 200

    assert [(each["page"], each["name"], each["why"]) for each in answered("views")] == [
        ("dead-letters", "late", "each morning"),
        ("events", "created", "x"),
    ]
    assert "replaced" in told(
        "views", "save", "dead-letters", "late", "queue:email", "--why", "other"
    )
    removal = {"page": "dead-letters", "name": "late", "why": "over"}
    assert client.post("/api/v1/views/remove", json=removal, headers=OPS).status_code == 200
    assert client.post("/api/v1/views/remove", json=removal, headers=OPS).status_code == 404
    told("views", "remove", "events", "created", "--why", "over")
    assert (
        "has the name 'created'"
        in call("views", "remove", "events", "created", "--why", "x").stderr
    )


@pytest.mark.parametrize(
    ("query", "position"), [("type:", "character 6"), ("", "term"), ("nobody:x", "character 1")]
)
def test_a_search_with_a_mistake_is_not_saved_and_the_mistake_is_named(
    client: FlaskClient, query: str, position: str
):
    command = call("views", "save", "events", "x", query, "--why", "x")
    body = {"page": "events", "name": "x", "query": query or " ", "why": "x"}
    answer = client.post("/api/v1/views", json=body, headers=OPS)

    assert (command.exit_code, answer.status_code) == (2, 422)
    assert answer.json
    assert position in command.stderr
    assert position in answer.json["errors"][0]["message"]
    assert answered("views") == []


def test_a_name_that_nobody_can_see_and_a_page_that_there_is_not_are_refused(client: FlaskClient):
    assert call("views", "save", "events", "\u2800", "type:x", "--why", "x").exit_code == 2
    assert call("views", "save", "orders", "x", "type:x", "--why", "x").exit_code == 2
    for wrong in ({"name": "\u3164"}, {"page": "orders"}, {"q": ""}, {"name": "x" * 61}):
        values = {"page": "events", "name": "x", "q": "type:x", "reason": "x"} | wrong
        assert _post(client, "/ops/views", values).status_code == 422
    assert answered("views") == []


def test_a_page_has_a_limited_number_of_views(client: FlaskClient):
    with transaction() as session:
        for number in range(views.MAX_VIEWS):
            views.save(session, "events", f"view {number}", "type:x", who="ada", why="x")
        views.save(session, "events", "view 7", "type:y", who="ada", why="x")

    body = {"page": "events", "name": "one more", "query": "type:x", "why": "x"}
    assert client.post("/api/v1/views", json=body, headers=OPS).status_code == 409
    assert call("views", "save", "events", "one more", "type:x", "--why", "x").exit_code == 1
