"""What tests do with pages: fill in forms as a browser would, and let the services work."""

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

HTML = {"Accept": "text/html"}
GOOD = {
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


def services() -> list[Subscription]:
    """The shop's own subscriptions; other tests of this run may have made up more."""
    return [each for each in registered().values() if each.handler.__module__.startswith("tasks.")]


@contextmanager
def working() -> Iterator[Bus]:
    """Every service on an in-process bus, whose clock the test moves."""
    with Bus(subscriptions=services(), fail_fast=False) as bus:
        yield bus


def hidden(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'type="hidden" name="{name}" value="([^"]*)"', page)
    assert found, f"no hidden field {name} in the page"
    return unescape(found[1])


def filled_in(client: FlaskClient, **typed: str) -> dict[str, str]:
    """The order form, filled in well but for `typed`; `quantity__MUG_BLUE` is the quantity of MUG-BLUE."""
    page = client.get("/").text
    changes = {
        name.replace("__", ".").replace("_", "-") if "__" in name else name: value
        for name, value in typed.items()
    }
    return GOOD | changes | {name: hidden(page, name) for name in ("csrf_token", "key")}


def sent(client: FlaskClient, **typed: str) -> TestResponse:
    """The answer to the order form."""
    return client.post("/orders", data=filled_in(client, **typed), headers=HTML)


def ordered(client: FlaskClient, **typed: str) -> str:
    """The address of the page of an order that was placed by the form."""
    answer = sent(client, **typed)
    assert answer.status_code == 303, answer.text
    return answer.location


def post(
    client: FlaskClient, page: str, to: str, headers: dict[str, str] | None = None, **typed: str
) -> TestResponse:
    """The page that a form of `page` leads to when it is sent."""
    token = hidden(client.get(page, headers=HTML | (headers or {})).text, "csrf_token")
    return client.post(
        to,
        data={"csrf_token": token, **typed},
        headers=HTML | (headers or {}),
        follow_redirects=True,
    )


def audited() -> list[tuple[str, str, str]]:
    """Who did what for which reason, the latest first."""
    with reading() as session:
        return [(row.who, row.action, row.why) for row in audit.listed(session)]
