"""The HTTP API under /api/v1, for customers and operators, with its OpenAPI document."""

from flask_openapi.openapi import OpenAPI

from web.api import (
    alerts,
    asyncapi,
    audit,
    breakers,
    dead_letters,
    invalid_messages,
    openapi,
    ops,
    order_traces,
    orders,
    processes,
    products,
    repairs,
    replays,
    schedules,
    stats,
    task_messages,
    views,
)
from web.security import csrf


def init_app(app: OpenAPI) -> None:
    """Add the endpoints to `app`. They need no CSRF token, because they read no cookie."""
    for part in (
        *(orders, ops, dead_letters, repairs, replays, products, audit, schedules),
        *(breakers, order_traces, invalid_messages, alerts, stats, processes, views),
        task_messages,
    ):
        csrf.exempt(part.bp)
        openapi.register(app, part.bp)
    app.register_blueprint(asyncapi.bp)
