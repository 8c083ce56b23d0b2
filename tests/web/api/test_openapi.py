"""The OpenAPI document describes the API, and its page needs no other host."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from events import Database, subscriptions, transaction
from events.admin import subscriptions as admin
from tests.forked import ForkedProcess
from tests.servers import free_port, wait_until
from tests.web.payloads import OPS_AUTH

SCHEMATHESIS = """
[[operations]]
include-name = "POST /api/v1/orders"
# No schema can list the products, the countries and the possible hosts of an e-mail address.
checks.positive_data_acceptance.expected-statuses = ["2xx", "422"]

[[operations]]
include-name = "POST /api/v1/products"
# To JSON Schema 2.0 is an integer, and to us an amount with a fraction.
checks.positive_data_acceptance.expected-statuses = ["2xx", "409", "422"]

[[operations]]
include-name = "POST /api/v1/products/{sku}/restock"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "422"]

[[operations]]
include-name = "PATCH /api/v1/products/{sku}"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "422"]
"""
# Their values depend on each other, are times, cursors or queries, or need a reason for a login.
DEPENDENT = (
    "GET /api/v1/audit",
    "GET /api/v1/dead-letters",
    "GET /api/v1/events",
    "POST /api/v1/dead-letters/dry-run",
    "POST /api/v1/dead-letters/edit",
    "POST /api/v1/dead-letters/triage",
    "POST /api/v1/dead-letters/{delivery_id}/edit",
    "POST /api/v1/orders/{order_id}/cancel",
    "POST /api/v1/replays",
    "POST /api/v1/replays/{number}/again",
    "POST /api/v1/views",
)
for each in DEPENDENT:
    SCHEMATHESIS += f"""
[[operations]]
include-name = "{each}"
checks.positive_data_acceptance.expected-statuses = ["2xx", "403", "404", "409", "422"]
"""


@pytest.fixture
def server(database: Database, stocked: None, tmp_path: Path) -> Iterator[str]:
    """The address of the web, served as `tidings up` does."""
    with transaction() as session:
        admin.register(session, subscriptions.registered().values())
    port = free_port()
    url = database.url.render_as_string(hide_password=False)
    environment = os.environ | {
        "DATABASE_URL": url,
        "OPS_AUTH": OPS_AUTH,
        "LOGIN_LIMIT": "off",  # schemathesis sends wrong logins to each endpoint
        "SECRET_KEY": "only for tests",
        "PYTHONPATH": str(Path.cwd()),
    }
    web = ForkedProcess(["tidings", "web", "--port", str(port)], tmp_path, environment)
    web.launch()
    wait_until(lambda: _listens(port), what="the web to listen")
    yield f"http://127.0.0.1:{port}"
    web.stop()
    assert "Traceback" not in web.log()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_schemathesis_asks_everything_it_can_think_of_and_finds_nothing(
    server: str, tmp_path: Path
):
    config = tmp_path / "schemathesis.toml"
    config.write_text(SCHEMATHESIS)
    tool = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file",
        str(config),
        "run",
        f"{server}/openapi/openapi.json",
    ]
    limits = [
        "--wait-for-schema",
        "20",
        "--max-examples",
        "5",
        "--seed",
        "2",
        "--auth",
        OPS_AUTH,
        "--no-color",
    ]

    found = subprocess.run(
        [*tool, *limits], cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )

    assert found.returncode == 0, found.stdout + found.stderr


def _document(no_write_client: FlaskClient) -> Any:
    return no_write_client.get("/openapi/openapi.json").json


def test_the_document_knows_every_endpoint_of_the_api(no_write_client: FlaskClient):
    rules = [
        rule
        for rule in no_write_client.application.url_map.iter_rules()
        if rule.rule.startswith("/api/")
    ]
    offered = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert {
        (path, method.upper())
        for path, item in _document(no_write_client)["paths"].items()
        for method in item
    } == offered


def test_every_error_in_the_document_is_a_problem(no_write_client: FlaskClient):
    operations = [
        operation
        for item in _document(no_write_client)["paths"].values()
        for operation in item.values()
    ]
    errors = [
        answer
        for operation in operations
        for status, answer in operation["responses"].items()
        if status >= "400"
    ]

    assert len(errors) > 50
    assert {tuple(answer["content"]) for answer in errors} == {("application/problem+json",)}


def test_the_page_of_the_document_loads_from_this_host_only(no_write_client: FlaskClient):
    page = no_write_client.get("/openapi", follow_redirects=True)
    loaded = re.findall(r'(?:src|href|data-document)="([^"]+)"', page.text)

    assert page.status_code == 200
    assert len(loaded) > 4
    for address in loaded:
        with no_write_client.get(address) as answer:
            assert answer.status_code == 200, address
    assert not re.search(r"<script[^>]*>[^<]", page.text)
    # Without script-src of its own, default-src 'self' applies to scripts.
    assert "script-src" not in page.headers["Content-Security-Policy"]
