"""The reason of an act has one word in the API, `why`; an older one, `reason`, is taken too."""

from typing import Any

import click
from flask import Flask
from flask.testing import FlaskClient

from tests.tidings.cli.calls import call
from tests.web.ops.states import SUBSCRIPTION
from tests.web.payloads import OPS
from tidings.cli import main

PAUSE = f"/api/v1/subscriptions/{SUBSCRIPTION}/pause"


def bodies(client: FlaskClient) -> dict[str, dict[str, Any]]:
    """Return the schema of the body of each endpoint that takes one, by its address."""
    document: Any = client.get("/openapi/openapi.json").json
    found = {}
    for path, item in document["paths"].items():
        for method in item.keys() & {"post", "patch"}:
            if body := item[method].get("requestBody"):
                name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                found[f"{method} {path}"] = document["components"]["schemas"][name]
    return found


def test_every_endpoint_that_takes_a_reason_calls_it_why(client: FlaskClient):
    schemas = bodies(client)

    without = {path for path, schema in schemas.items() if "why" not in schema["properties"]}
    dry_runs = {"post /api/v1/dead-letters/dry-run"}
    dry_runs |= {"post /api/v1/dead-letters/{delivery_id}/dry-run"}
    assert without == {"post /api/v1/orders"} | dry_runs
    assert not [path for path, schema in schemas.items() if "reason" in schema["properties"]]


def test_the_older_word_is_taken_and_both_at_once_are_refused(client: FlaskClient, stocked: None):
    change = {"stock": 7}
    for given in ({"reason": "counted"}, {"why": "counted again", "stock": 8}):
        answer = client.patch("/api/v1/products/MUG-BLUE", json=change | given, headers=OPS)
        assert answer.status_code == 200, answer.text

    both = {"why": "counted", "reason": "spring"}
    refused = client.patch("/api/v1/products/MUG-BLUE", json=change | both, headers=OPS)
    missing = client.post(PAUSE, json={}, headers=OPS)

    assert refused.status_code == 422
    assert [each["field"] for each in refused.json["errors"]] == ["reason"]
    assert [each["field"] for each in missing.json["errors"]] == ["why"]
    audited: Any = client.get("/api/v1/audit", headers=OPS).json
    assert [line["why"].rpartition(": ")[2] for line in audited["lines"]] == [
        "counted again",
        "counted",
    ]
    assert audited["lines"][0]["parameters"] == {"stock": 8}


def test_a_form_takes_both_words(app: Flask, stocked: None):
    app.config["WTF_CSRF_ENABLED"] = False
    client = app.test_client()
    for word in ("reason", "why"):
        sent = {"name": f"Mug {word}", "price": "9.00", "currency": "EUR", word: "new name"}
        answer = client.post("/ops/products/MUG-BLUE/change", data=sent, headers=OPS)
        assert answer.status_code == 303, answer.text


def test_a_command_takes_both_spellings_and_its_help_shows_one():
    context = click.Context(main)
    help_text = main.get_command(context, "pause").get_help(click.Context(main))  # type: ignore[union-attr]

    assert "--why REASON" in help_text
    assert "--reason" not in help_text
    refused = call("pause", SUBSCRIPTION, "--reason", "two\nlines\x9b")
    assert refused.exit_code == 2
    assert "use plain text on one line" in refused.stderr
