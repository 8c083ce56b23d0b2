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


def _addresses(app: Flask, value: str) -> list[tuple[str, str]]:
    sent = quote(value, safe=":")
    return [
        (re.sub("<uuid:[^>]+>", UUID, re.sub("<(?!uuid)[^>]+>", sent, rule.rule)), method)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/ops", "/api")) and "filename" not in rule.rule
        for method in (rule.methods or set()) & {"GET", "POST", "PATCH"}
    ]


@pytest.mark.parametrize("value", VALUES, ids=lambda each: ascii(each)[:40])
def test_no_value_is_an_error_of_ours(any_app: Flask, value: str):
    any_app.config["WTF_CSRF_ENABLED"] = False
    client = any_app.test_client()
    found: dict[tuple[str, str, str], int] = {}
    for address, method in _addresses(any_app, value):
        if method == "GET":
            for name in (*QUERY, "none"):
                answer = client.get(address, query_string={name: value}, headers=OPS)
                found[address, method, name] = answer.status_code
            continue
        form = dict.fromkeys(FORM, value) | {"reason": "x"}
        bodies = [{name: value, "reason": "x"} for name in (*QUERY, *FORM)]
        sent: list[dict[str, Any]] = [
            {"data": form},
            *({"json": body} for body in (*bodies, {"ids": [value]})),
        ]
        for each in sent:
            answer = client.open(address, method=method, headers=OPS, **each)
            found[address, method, str(each)[:60]] = answer.status_code

    assert len(found) > 100
    assert {key: status for key, status in found.items() if status >= 500} == {}
