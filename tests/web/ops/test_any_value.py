"""No value in an address, a query or a form makes an error 500 behind the login."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask

from tests.web.payloads import OPS

pytestmark = pytest.mark.slow
VALUES = ["a\0b", "99999999999999999999", "9223372036854775807", "x" * 5000]
UUID = "01a2078e-dbc3-70e2-bd43-ff936927098b"
QUERY = ("before", "limit", "type", "subject", "number", "subscription", "fingerprint", "queue")
FORM = (
    "only",
    "group",
    "quantity",
    "stock",
    "sku",
    "price",
    "amount",
    "currency",
    "name",
    "active",
)


def _addresses(app: Flask, value: str) -> list[tuple[str, str, bool]]:
    """Return each address with its method, and whether the value is in its path."""
    sent = quote(value, safe=":")
    found = []
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(("/ops", "/api")) and "filename" not in rule.rule:
            address = re.sub("<(?!uuid)[^>]+>", sent, re.sub("<uuid:[^>]+>", UUID, rule.rule))
            methods = (rule.methods or set()) & {"GET", "POST", "PATCH"}
            found += [(address, method, sent in address) for method in methods]
    return found


def _queries(value: str, *, in_path: bool) -> list[dict[str, str]]:
    """Return the queries to send; what is about nothing is asked for with all at once."""
    alone = [{name: value} for name in (*QUERY, "none")]
    return [{}, dict.fromkeys(QUERY, value)] if in_path else alone


def _bodies(value: str, *, in_path: bool) -> list[dict[str, Any]]:
    """Return the bodies to send, as `_queries` does."""
    form = dict.fromkeys(FORM, value) | {"reason": "x"}
    everything = dict.fromkeys((*QUERY, *FORM), value) | {"reason": "x"}
    alone = [{name: value, "reason": "x"} for name in (*QUERY, *FORM)]
    sent = [everything] if in_path else alone
    return [{"data": form}, *({"json": body} for body in (*sent, {"ids": [value]}))]


@pytest.mark.parametrize("value", VALUES, ids=lambda each: ascii(each)[:40])
def test_no_value_is_an_error_of_ours(any_app: Flask, value: str):
    any_app.config["WTF_CSRF_ENABLED"] = False
    client = any_app.test_client()
    found: dict[tuple[str, str, str], int] = {}
    for address, method, in_path in _addresses(any_app, value):
        sent: list[dict[str, Any]] = (
            [{"query_string": each} for each in _queries(value, in_path=in_path)]
            if method == "GET"
            else _bodies(value, in_path=in_path)
        )
        for each in sent:
            answer = client.open(address, method=method, headers=OPS, **each)
            found[address, method, str(each)[:60]] = answer.status_code

    assert len(found) > 100
    assert {key: status for key, status in found.items() if status >= 500} == {}
