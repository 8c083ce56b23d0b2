"""Invalid orders: a problem+json that names the field, without a stack trace, and no row."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.web.payloads import bearer, order_payload, payload_with

JSON = {"Content-Type": "application/json"}


def _is_problem(answer: TestResponse, status: int, field: str | None = None) -> None:
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), (
        answer.text
    )
    problem = answer.json
    assert problem["status"] == status
    assert problem["type"].startswith("urn:tidings:problem:")
    assert problem["instance"].startswith("urn:uuid:")
    assert "Traceback" not in answer.text
    if field is not None:
        assert field in [error["field"] for error in problem["errors"]], problem


WRONG_FIELDS: list[tuple[str, Any]] = [
    ("items.0.quantity", 0),
    ("items.0.quantity", -1),
    ("items.0.quantity", 1_000_000),
    ("items.0.quantity", 10**400),
    ("items.0.quantity", "2"),
    ("items.0.quantity", 2.0),
    ("items.0.quantity", True),
    ("items.0.quantity", None),
    ("items.0.sku", "NO-SUCH-THING"),
    ("items.0.sku", "<b>"),
    ("items.0.sku", "MUG-BLUE\n"),
    ("items.0.price", 1),
    ("items", []),
    ("items", {}),
    ("items", "MUG-BLUE"),
    ("items", [{"sku": "MUG-BLUE", "quantity": 1}] * 1500),
    ("customer", None),
    ("customer.name", ""),
    ("customer.name", "   "),
    ("customer.name", 7),
    ("customer.name", "x" * 101),
    ("customer.name", "Ada\x00"),
    ("customer.name", "Ada\r\nBcc: everybody@example.org"),
    ("customer.name", "Ada\u2028Example"),
    ("customer.name", "\u202eadA"),
    ("customer.email", "ada@example.org, victim@example.org"),
    ("customer.email", "ada@example.org\nBcc: victim@example.org"),
    ("customer.email", "<ada@example.org>"),
    ("customer.email", "ada"),
    ("customer.email", "a" * 250 + "@example.org"),
    ("customer.age", 36),
    ("shipping_address.country", "XX"),
    ("shipping_address.country", "Germany"),
    ("shipping_address.country", "de"),
    ("shipping_address.line1", "x" * 5000),
    ("shipping_address.city", ["Berlin"]),
    ("shipping_address.postcode", 10115),
    ("payment_token", "4111 1111 1111 1111"),
    ("payment_token", ""),
    ("total", {"amount": 1, "currency": "EUR"}),
    ("status", "shipped"),
]


@pytest.mark.parametrize(("field", "value"), WRONG_FIELDS, ids=lambda value: repr(value)[:40])
def test_a_wrong_field_is_named(no_write_client: FlaskClient, field: str, value: Any):
    _is_problem(no_write_client.post("/api/v1/orders", json=payload_with(field, value)), 422, field)


@pytest.mark.parametrize("field", ["customer", "items", "shipping_address", "payment_token"])
def test_a_missing_field_is_named(no_write_client: FlaskClient, field: str):
    order = order_payload()
    del order[field]

    _is_problem(no_write_client.post("/api/v1/orders", json=order), 422, field)


BODIES: list[tuple[str, bytes, int]] = [
    ("cut off", json.dumps(order_payload()).encode()[:-5], 400),
    ("not json", b"items=MUG-BLUE", 400),
    ("empty", b"", 422),
    ("a list", b"[]", 422),
    ("null", b"null", 422),
    ("a number", b"5", 422),
    ("not utf-8", json.dumps(order_payload()).encode().replace(b"Ada Example", b"\xff\xfe"), 400),
    ("utf-16", json.dumps(order_payload()).encode("utf-16"), 400),
    (
        "a lone surrogate",
        json.dumps(order_payload()).encode().replace(b"Ada Example", b"\\ud800"),
        400,
    ),
    ("nan", json.dumps(payload_with("items.0.quantity", float("nan"))).encode(), 422),
    ("nested ten thousand deep", b"[" * 10_000 + b"]" * 10_000, 400),
    ("objects nested deep", b'{"customer":' * 4_000 + b"1" + b"}" * 4_000, 400),
    (
        "a deep extra field",
        json.dumps(order_payload()).encode()[:-1]
        + b', "x": '
        + b"[" * 10_000
        + b"]" * 10_000
        + b"}",
        400,
    ),
]


@pytest.mark.parametrize(
    ("body", "status"),
    [(body, status) for _, body, status in BODIES],
    ids=[name for name, *_ in BODIES],
)
def test_a_body_that_is_no_order_is_a_problem(
    no_write_client: FlaskClient, body: bytes, status: int
):
    _is_problem(no_write_client.post("/api/v1/orders", data=body, headers=JSON), status)


def test_a_field_that_is_given_twice_is_named(no_write_client: FlaskClient):
    body = json.dumps(order_payload()).replace('"quantity": 2', '"quantity": 2, "quantity": 99')

    _is_problem(no_write_client.post("/api/v1/orders", data=body, headers=JSON), 422, "quantity")


def test_five_megabytes_are_too_much(no_write_client: FlaskClient):
    _is_problem(no_write_client.post("/api/v1/orders", data=b" " * 5_000_000, headers=JSON), 413)


def test_a_long_body_without_a_length_is_too_much(no_write_client: FlaskClient):
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}

    _is_problem(
        no_write_client.post(
            "/api/v1/orders",
            data=b" " * 200_000,
            headers=JSON,
            environ_overrides=chunked | {"CONTENT_LENGTH": ""},
        ),
        413,
    )


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        None,
    ],
)
def test_another_media_type_is_a_problem(no_write_client: FlaskClient, kind: str | None):
    _is_problem(
        no_write_client.post("/api/v1/orders", data=json.dumps(order_payload()), content_type=kind),
        415,
    )


@pytest.mark.parametrize("encoding", ["", " identity"])
def test_a_body_in_no_other_encoding_is_read(no_write_client: FlaskClient, encoding: str):
    headers = JSON | {"Content-Encoding": encoding}

    _is_problem(no_write_client.post("/api/v1/orders", data=b"[", headers=headers), 400)


def test_a_body_in_another_encoding_is_a_problem_that_says_so(no_write_client: FlaskClient):
    for encoding in ("gzip", "br", "deflate, gzip"):
        answer = no_write_client.post(
            "/api/v1/orders", json=order_payload(), headers={"Content-Encoding": encoding}
        )

        _is_problem(answer, 415)
        assert "without Content-Encoding" in answer.json["detail"]


def test_a_thousand_mistakes_are_not_listed_one_by_one(no_write_client: FlaskClient):
    order = order_payload() | {f"extra{number}": 1 for number in range(1000)}

    answer = no_write_client.post("/api/v1/orders", json=order)

    _is_problem(answer, 422)
    assert len(answer.json["errors"]) == 50


@pytest.mark.parametrize(
    "field",
    ["customer.name", "shipping_address.line1", "shipping_address.line2", "shipping_address.city"],
)
def test_html_in_a_text_is_kept_as_text_and_never_sent_as_html(client: FlaskClient, field: str):
    evil = "<script>alert(1)</script>"
    accepted = client.post("/api/v1/orders", json=payload_with(field, evil))

    shown = client.get(
        accepted.json["links"]["self"],
        headers={"Authorization": f"Bearer {accepted.json['token']}"},
    )

    assert accepted.status_code == 202
    assert {accepted.content_type, shown.content_type} == {"application/json"}
    assert shown.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "field", ["customer.email", "items.0.sku", "payment_token", "shipping_address.country"]
)
def test_html_where_no_text_belongs_is_a_problem(no_write_client: FlaskClient, field: str):
    _is_problem(
        no_write_client.post(
            "/api/v1/orders", json=payload_with(field, "<script>alert(1)</script>")
        ),
        422,
        field,
    )


WRONG_HEADERS = [
    ("Idempotency-Key", ""),
    ("Idempotency-Key", "x" * 201),
    ("Idempotency-Key", "two words"),
    ("Idempotency-Key", "caf\u00e9"),
    ("X-Tenant-Id", ""),
    ("X-Tenant-Id", "x" * 65),
    ("X-Tenant-Id", "<script>"),
    ("X-Tenant-Id", "acme,other"),
    ("X-Tenant-Id", "a\x00b"),
]


@pytest.mark.parametrize(("name", "value"), WRONG_HEADERS)
def test_a_wrong_header_is_named(no_write_client: FlaskClient, name: str, value: str):
    key = "HTTP_" + name.upper().replace("-", "_")

    _is_problem(
        no_write_client.post(
            "/api/v1/orders", json=order_payload(), environ_overrides={key: value}
        ),
        422,
        name,
    )


@pytest.mark.parametrize(
    "order_id", ["1", "%00", "..%2F..", "x" * 3000, "00000000-0000-0000-0000-00000000000g"]
)
def test_an_id_that_cannot_be_one_is_not_found(no_write_client: FlaskClient, order_id: str):
    _is_problem(no_write_client.get(f"/api/v1/orders/{order_id}?token=x"), 404)


@pytest.mark.parametrize("reason", ["", "   ", "a\x00b", "a\u2028b", "\u202eb", "x" * 201, None, 7])
def test_a_reason_for_cancelling_is_one_line_of_plain_text(client: FlaskClient, reason: Any):
    order = client.post("/api/v1/orders", json=order_payload()).json

    answer = client.post(order["links"]["cancel"], json={"reason": reason}, headers=bearer(order))

    _is_problem(answer, 422, "reason")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_named(no_write_client: FlaskClient, encoding: str):
    body = json.dumps(order_payload()).encode(encoding)

    answer = no_write_client.post("/api/v1/orders", data=body, content_type="application/json")

    _is_problem(answer, 400, "body")
    assert "byte order mark" in answer.text
