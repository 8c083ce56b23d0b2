"""Liveness, readiness and metrics: /livez, /readyz, /metrics."""

import os
import socket
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from events import heartbeat, reading
from events.admin import queues
from events.db_errors import describe_error, unavailable_reason

log = structlog.get_logger()
bp = Blueprint("health", __name__)
_LAST_HEARTBEAT = "tidings-last-heartbeat"
ORDERS_ACCEPTED = Counter(
    "tidings_orders_accepted", "Orders that were accepted and saved by this process", registry=None
)
LATENCY = Histogram(
    "tidings_request_seconds",
    "Time to answer a request",
    ["endpoint", "method", "status"],
    registry=None,
)


@bp.get("/livez")
def livez() -> ResponseReturnValue:
    """Answer as long as the process can."""
    return {"status": "alive"}


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Answer 200 if an order would be accepted. A broker that is down is reported, not fatal."""
    try:
        _send_heartbeat()
        with reading() as session:
            return {"status": "ready", "database": "up", **_relay_and_broker(session)}
    except SQLAlchemyError as error:
        log.error("readiness.failed", database=describe_error(error))
        return {
            "status": "not ready",
            "database": "cannot save" if unavailable_reason(error) else "down",
        }, 503


def _send_heartbeat() -> None:
    """Write to the database, because one that can only be read accepts no order.

    Once per interval, not at every probe: each write waits for the disk.
    """
    last = current_app.extensions.get(_LAST_HEARTBEAT, float("-inf"))
    if perf_counter() - last > heartbeat.INTERVAL:
        heartbeat.beat(f"web@{socket.gethostname()}:{os.getpid()}", "web")
        current_app.extensions[_LAST_HEARTBEAT] = perf_counter()


def _relay_and_broker(session: Session) -> dict[str, Any]:
    relays = heartbeat.live_relays(session)
    if not relays:
        return {"relay": "down", "broker": "unknown"}
    states = {heartbeat.broker_state(each): each.trouble for each in relays}
    worst = next(state for state in ("down", "blocked", "up") if state in states)
    found: dict[str, Any] = {"relay": "up", "broker": worst}
    if worst == "blocked":
        found["trouble"] = states[worst]
    if troubles := heartbeat.queue_troubles(session):
        found["queues"] = troubles
    return found


class LedgerCollector(Collector):
    """A collector that reads the ledger at each scrape, so that all web processes agree."""

    def collect(self) -> Iterator[Metric]:
        """Yield gauges of the open and dead deliveries by queue, and of the refused queues."""
        deliveries = GaugeMetricFamily(
            "tidings_deliveries", "Deliveries that are not handled", labels=["queue", "state"]
        )
        oldest = GaugeMetricFamily(
            "tidings_oldest_delivery_seconds", "Age of the oldest open delivery", labels=["queue"]
        )
        workers = GaugeMetricFamily("tidings_workers", "Workers that are alive", labels=["queue"])
        refused = GaugeMetricFamily(
            "tidings_queue_refused",
            "Queues that the broker refuses",
            labels=["queue", "reason", "fix"],
        )
        with reading() as session:
            yield _relays(session)
            for queue in queues.overview(session):
                for state in ("waiting", "retrying", "dead"):
                    deliveries.add_metric([queue.name, state], getattr(queue, state))
                oldest.add_metric([queue.name], queue.oldest or 0.0)
                workers.add_metric([queue.name], queue.workers)
                if queue.trouble:
                    refused.add_metric([queue.name, queue.trouble, queue.fix or ""], 1)
            waiting = queues.unrelayed(session)
        unrelayed = GaugeMetricFamily(
            "tidings_unrelayed_events", "Events that the relay has not fanned out", value=waiting
        )
        yield from (deliveries, oldest, workers, refused, unrelayed)

    def describe(self) -> Iterable[Metric]:
        """Describe nothing, because the registry would read the database for it."""
        return []


def _relays(session: Session) -> Metric:
    relays = GaugeMetricFamily(
        "tidings_relays", "Relays that are alive", labels=["broker", "trouble"]
    )
    for relay in heartbeat.live_relays(session):
        # An error of a connection names hosts, which are no business of everybody's.
        trouble = relay.trouble if relay.blocked else None
        relays.add_metric([heartbeat.broker_state(relay), trouble or ""], 1)
    return relays


@bp.get("/metrics")
def metrics() -> ResponseReturnValue:
    """Return the metrics for Prometheus."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector())
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(ORDERS_ACCEPTED)
        registry.register(LATENCY)
    return Response(generate_latest(registry), mimetype=CONTENT_TYPE_LATEST)


def start_timer() -> None:
    """Note when the request arrived."""
    g.started = perf_counter()


def observe_latency(response: Response) -> Response:
    """Record the latency by endpoint: by path, each order would be a series of its own."""
    if started := g.pop("started", None):
        method = request.method if request.endpoint else "any"  # clients can invent methods
        labels = (request.endpoint or "none", method, response.status_code)
        LATENCY.labels(*labels).observe(perf_counter() - started)
    return response


def init_app(app: Flask) -> None:
    """Measure every request of `app`, and add the addresses of this module."""
    app.before_request(start_timer)
    app.after_request(observe_latency)
    app.register_blueprint(bp)
