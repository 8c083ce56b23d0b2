"""The context that events inherit from a request."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import web
from events import Envelope, current, observers, reading
from events.context import Context
from events.log import about
from events.observers.opentelemetry import OpenTelemetry
from events.testing import Bus
from tests.web.payloads import OPS, order_payload

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CORRELATION = "0190c9d1-7f3a-7b6e-8f00-0123456789ab"


def _order(
    client: FlaskClient, headers: dict[str, str] | None = None, **environ: Any
) -> tuple[list[Envelope], dict[str, str]]:
    answer = client.post(
        "/api/v1/orders", json=order_payload(), headers=headers, environ_overrides=environ
    )
    assert answer.status_code == 202, answer.text
    with reading() as session:
        return list(about(session, answer.json["number"])), dict(answer.headers)


def test_an_event_knows_user_tenant_address_agent_correlation_and_trace(client: FlaskClient):
    sent = OPS | {
        "X-Tenant-Id": "acme",
        "User-Agent": "till/1",
        "X-Correlation-Id": CORRELATION,
        "traceparent": TRACE,
    }
    [created], headers = _order(client, sent, REMOTE_ADDR="198.51.100.7")

    assert asdict(created.actor) == {
        "user": "ada",
        "tenant": "acme",
        "ip": "198.51.100.7",
        "agent": "till/1",
    }
    assert created.correlation_id == UUID(CORRELATION)
    assert created.traceparent == TRACE
    assert headers["X-Correlation-Id"] == CORRELATION


def test_every_event_that_follows_knows_it_too(client: FlaskClient):
    [created], _ = _order(
        client, {"X-Tenant-Id": "acme", "X-Request-Id": CORRELATION, "User-Agent": "till/1"}
    )
    with Bus(fail_fast=False) as bus:
        bus.drain()

    with reading() as session:
        trace = about(session, created.subject or "")
    assert len(trace) > 4
    assert {
        (each.actor.tenant, each.actor.agent, each.correlation_id, each.traceparent)
        for each in trace
    } == {("acme", "till/1", UUID(CORRELATION), created.traceparent)}


def test_a_request_without_an_id_gets_one_and_is_told(client: FlaskClient):
    [created], headers = _order(client)

    assert headers["X-Correlation-Id"] == str(created.correlation_id)


@pytest.mark.parametrize(
    "sent",
    [
        "not-a-uuid",
        CORRELATION + "0",
        "{" + CORRELATION + "}",
        "x" * 5000,
        CORRELATION + "\r\nSet-Cookie: a=b",
        "",
    ],
)
def test_a_correlation_id_that_is_no_uuid_is_replaced(client: FlaskClient, sent: str):
    [created], headers = _order(client, HTTP_X_CORRELATION_ID=sent)

    assert headers["X-Correlation-Id"] == str(created.correlation_id) != sent
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "00",
        TRACE + "-00",
        TRACE.upper(),
        "ff" + TRACE[2:],
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        TRACE.replace("b7ad6b7169203331", "0" * 16),
        TRACE + "\n",
    ],
)
def test_a_traceparent_that_is_not_valid_is_replaced(client: FlaskClient, sent: str):
    [created], _ = _order(client, HTTP_TRACEPARENT=sent)

    assert created.traceparent
    assert created.traceparent != sent


def test_a_user_agent_is_cut_and_cleaned(client: FlaskClient):
    [created], _ = _order(client, HTTP_USER_AGENT="evil\x00\x1b[31m" + "x" * 5000)

    assert created.actor.agent is not None
    assert created.actor.agent.startswith("evil[31mx")
    assert len(created.actor.agent) == 300


def test_a_wrong_login_is_nobody(client: FlaskClient):
    [created], _ = _order(client, {"Authorization": "Basic YWRhOndyb25n"})

    assert created.actor.user is None


def test_a_forwarded_address_is_not_believed_by_default(client: FlaskClient):
    [created], _ = _order(client, {"X-Forwarded-For": "203.0.113.9"}, REMOTE_ADDR="198.51.100.7")

    assert created.actor.ip == "198.51.100.7"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "seen"),
    [
        ("1", "203.0.113.9", "203.0.113.9"),
        ("1", "10.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("2", "192.0.2.1, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
        ("1", "<script>", None),
        ("1", "fe80::1%<script>", "fe80::1"),
    ],
)
def test_a_forwarded_address_is_believed_from_as_many_proxies_as_the_settings_say(
    stocked: None, environment: pytest.MonkeyPatch, proxies: str, forwarded: str, seen: str | None
):
    environment.setenv("TRUSTED_PROXIES", proxies)
    [created], _ = _order(
        web.create_app().test_client(), {"X-Forwarded-For": forwarded}, REMOTE_ADDR="198.51.100.7"
    )

    assert created.actor.ip == seen


def test_the_context_ends_with_the_request(app: Flask, client: FlaskClient):
    _order(client, {"X-Tenant-Id": "acme"})

    assert current() == Context()


def test_a_request_is_the_parent_of_the_events_that_it_publishes_in_the_trace_of_its_client(
    client: FlaskClient,
):
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    observer = OpenTelemetry(lambda: provider)
    observers.add(observer)
    try:
        [created], _ = _order(client, {"traceparent": TRACE})
    finally:
        observers.remove(observer)

    published, request = exporter.get_finished_spans()
    assert (published.name, request.name) == ("publish order.created", "POST /api/v1/orders")
    assert published.parent
    assert request.parent
    assert created.traceparent
    assert published.parent.span_id == request.get_span_context().span_id
    assert f"{request.parent.span_id:016x}" == TRACE.split("-")[2]
    assert created.traceparent.split("-")[1] == TRACE.split("-")[1]
    assert created.traceparent.split("-")[2] == f"{published.get_span_context().span_id:016x}"
