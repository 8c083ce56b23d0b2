"""Pages in tests: forms filled in as by a browser, and the services run in this process."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from events import reading
from events.admin import audit
from events.subscriptions import Subscription, registered
from events.testing import Bus
from tests.web.payloads import OPS

HTML = {"Accept": "text/html"}
OPS_HTML = HTML | OPS
VALID_FORM = {
    "quantity.MUG-BLUE": "2",
    "quantity.TEE-M": "1",
    "name": "Ada Example",
    "email": "ada@example.org",
    "line1": "1 Test Street",
    "line2": "",
    "city": "Berlin",
    "postcode": "10115",
    "country": "DE",
    "payment_token": "tok_ok",
}


def shop_subscriptions() -> list[Subscription]:
    """Return the shop's own subscriptions, without those that other tests registered."""
    return [each for each in registered().values() if each.handler.__module__.startswith("tasks.")]


@contextmanager
def running_services() -> Iterator[Bus]:
    """Run every service on an in-process bus, whose clock the test moves."""
    with Bus(subscriptions=shop_subscriptions(), fail_fast=False) as bus:
        yield bus


def hidden_field(page: str, name: str) -> str:
    """Return the value of a hidden field."""
    match = re.search(rf'type="hidden" name="{name}" value="([^"]*)"', page)
    assert match, f"no hidden field {name} in the page"
    return unescape(match[1])


def form_data(client: FlaskClient, **values: str) -> dict[str, str]:
    """Fill in the order form. `quantity__MUG_BLUE` stands for the field quantity.MUG-BLUE."""
    page = client.get("/").text
    changes = {
        name.replace("__", ".").replace("_", "-") if "__" in name else name: value
        for name, value in values.items()
    }
    return VALID_FORM | changes | {name: hidden_field(page, name) for name in ("csrf_token", "key")}


def submit(client: FlaskClient, **values: str) -> TestResponse:
    """Submit the order form."""
    return client.post("/orders", data=form_data(client, **values), headers=HTML)


def place_order(client: FlaskClient, **values: str) -> str:
    """Place an order by the form and return the address of its page."""
    answer = submit(client, **values)
    assert answer.status_code == 303, answer.text
    return answer.location


def post(
    client: FlaskClient, page: str, to: str, headers: dict[str, str] | None = None, **values: str
) -> TestResponse:
    """Submit a form of `page` to the address `to` and return the resulting page."""
    token = hidden_field(client.get(page, headers=HTML | (headers or {})).text, "csrf_token")
    return client.post(
        to,
        data={"csrf_token": token, **values},
        headers=HTML | (headers or {}),
        follow_redirects=True,
    )


def audit_log() -> list[tuple[str, str, str]]:
    """Return actor, action and reason of each audit entry, the latest first."""
    with reading() as session:
        return [(row.who, row.action, row.why) for row in audit.listed(session)]
