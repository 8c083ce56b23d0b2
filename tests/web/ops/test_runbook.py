"""Every form of the desk shows the command and the API call that do the same."""

import json
import re
import shlex
from collections.abc import Iterator
from html import unescape
from typing import Any, get_type_hints
from urllib.parse import urlsplit

import click
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from events import reading, transaction
from events.admin import dead_letters, invalid_messages, subscriptions
from events.replays.tables import JobState
from events.testing import Bus
from tasks.orders import Order
from tests.tidings.cli.calls import told
from tests.web.ops.states import on_hold, paused, replaying, saved_view
from tests.web.pages import OPS_HTML, shop_subscriptions
from tests.web.payloads import OPS
from tidings.cli import main
from web.ops.runbook import RECIPES
from web.roles import NEEDED

FORM = re.compile(r"<form [^>]*>.*?</form>", re.DOTALL)
SENT_TO = re.compile(r'(?:form)?action="([^"]*)"')
ACT = re.compile(r'data-act="([^"]*)">(.*?)</div></div>', re.DOTALL)
CODE = re.compile(r"<code>(.*?)</code>", re.DOTALL)


@pytest.fixture
def pages(app: Flask, dead_charges: Bus) -> list[str]:
    """The address of each page of a shop in which every act is offered."""
    with transaction() as session:
        subscriptions.register(session, shop_subscriptions())
        texts = {"error": "", "headers": "{}", "body": b""}
        invalid_messages.keep(session, queue="payment", reason="undecodable", **texts)
    paused(), on_hold(), saved_view()
    numbers = [replaying(state) for state in (JobState.RUNNING, JobState.PAUSED, JobState.STOPPED)]
    with reading() as session:
        order_id = session.scalars(select(Order.id)).first()
        letter = dead_letters.listed(session)[0]
    group = f"subscription={letter.subscription}&fingerprint={letter.fingerprint}"
    return [
        *("/ops", "/ops/dead-letters", "/ops/queues", "/ops/replays", "/ops/breakers"),
        "/ops/alerts",
        *("/ops/products", "/ops/products/new", "/ops/products/MUG-BLUE/change"),
        *("/ops/events?q=type:order.created", "/ops/events?q=subject:ORD-1001"),
        *(f"/ops/replays/{number}" for number in numbers),
        *(f"/ops/dead-letters/{letter.id}", f"/ops/dead-letters/{letter.id}/edit"),
        *(f"/ops/dead-letters/edit?{group}",),
        *(f"/ops/orders/{order_id}?ask={what}" for what in ("cancel", "replay")),
    ]


def forms(client: FlaskClient, pages: list[str]) -> Iterator[tuple[str, str, dict[str, list[str]]]]:
    """Yield each address to which a form of a page is sent, with all acts that the page shows."""
    for page in pages:
        text = client.get(page, headers=OPS_HTML).text
        acts = {
            unescape(action): [unescape(code) for code in CODE.findall(lines)]
            for action, lines in ACT.findall(text)
        }
        for form in FORM.findall(text):
            if 'method="post"' in form:
                for action in SENT_TO.findall(form):
                    yield page, unescape(action), acts


def test_each_form_of_each_page_shows_a_command_and_a_call_that_are_valid(
    app: Flask, client: FlaskClient, pages: list[str]
):
    shown = set()
    for page, action, acts in forms(client, pages):
        assert action in acts, f"{page} does not show the command of {action}"
        command, call = acts[action]
        _parse_command(shlex.split(command))
        _validate_call(app, shlex.split(call))
        shown.add(app.url_map.bind("").match(urlsplit(action).path, method="POST")[0])

    elsewhere = {"ops.dry_runs.show", "ops.edits.edit"} & shown
    of_pages = {each for each in NEEDED if each.startswith("ops.")}
    assert shown | elsewhere == of_pages == set(RECIPES)


def _parse_command(words: list[str]) -> None:
    assert words.pop(0) == "tidings"
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    command.make_context("tidings", words)  # refuses what the command does not take


def _validate_call(app: Flask, words: list[str]) -> None:
    assert words[:3] == ["curl", "--user", "USER"]
    method = "PATCH" if words[3:5] == ["--request", "PATCH"] else "POST"
    assert words[-3] == "--json"
    endpoint, _ = app.url_map.bind("").match(urlsplit(words[-1]).path, method=method)
    body = get_type_hints(app.view_functions[endpoint].__wrapped__)["body"]
    assert body.model_validate_json(words[-2])


def test_a_command_and_a_call_from_a_page_do_what_the_button_does(
    client: FlaskClient, pages: list[str]
):
    acts = {
        action: act for _, action, found in forms(client, pages) for action, act in found.items()
    }
    command, _ = acts["/ops/breakers/smtp/hold"]
    _, call = acts["/ops/breakers/payment/close"]
    told(*shlex.split(command.replace("REASON", "'by command'"))[1:])
    sent, url = shlex.split(call)[-2:]
    answer = client.post(
        urlsplit(url).path, json=json.loads(sent) | {"why": "by call"}, headers=OPS
    )

    assert answer.json == {"changed": 1}
    audited: Any = client.get("/api/v1/audit", headers=OPS).json
    assert [(line["why"], line["target"]) for line in audited["lines"]] == [
        ("by call", "payment"),
        ("by command", "smtp"),
    ]
