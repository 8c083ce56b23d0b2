"""Dead letters as files, by page and API."""

import csv
import json

import pytest
from flask.testing import FlaskClient

from events.admin.dead_letters import Group
from tests.web.pages import OPS_HTML
from tests.web.payloads import OPS

ADDRESSES = ("/ops/dead-letters/export", "/api/v1/dead-letters/export")


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_list_is_a_file_of_csv_or_json_lines_and_a_group_a_report(
    client: FlaskClient, group: Group, address: str
) -> None:
    which = {"subscription": group.subscription, "fingerprint": group.fingerprint}
    answers = {
        name: client.get(address, query_string=which | {"format": name}, headers=OPS)
        for name in ("csv", "jsonl", "markdown")
    }

    assert {name: (answer.status_code, answer.mimetype) for name, answer in answers.items()} == {
        "csv": (200, "text/csv"),
        "jsonl": (200, "application/jsonl"),
        "markdown": (200, "text/markdown"),
    }
    [columns, row] = csv.reader(answers["csv"].text.splitlines())
    [line] = answers["jsonl"].text.splitlines()
    assert dict(zip(columns, row, strict=True))["id"] == json.loads(line)["id"]
    assert json.loads(line)["subject"] == "ORD-1001"
    assert answers["markdown"].text.startswith("# `GatewayError` in `payment.charge_order`: 1 dead")
    assert ".md" in answers["markdown"].headers["Content-Disposition"]
    nothing = client.get(address, query_string={"queue": "x", "format": "jsonl"}, headers=OPS)
    assert nothing.text == ""


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_report_of_no_group_and_an_unknown_format_are_refused(
    client: FlaskClient, address: str
) -> None:
    def status(**given: str) -> int:
        return client.get(address, query_string=given, headers=OPS).status_code

    assert status(format="xlsx") == 422
    assert status(format="markdown") == 422
    assert status(format="markdown", subscription="a", fingerprint="b") == 404
    assert client.get(address, query_string={"format": "csv"}).status_code == 401


def test_the_page_offers_the_files(client: FlaskClient, group: Group) -> None:
    page = client.get("/ops/dead-letters", headers=OPS_HTML).text

    assert "Report for a ticket" in page
    assert "export?format=csv" in page
