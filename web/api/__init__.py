"""The HTTP API under /api/v1, for customers and operators, with its OpenAPI document."""

from flask_openapi.openapi import OpenAPI

from web.api import (
    asyncapi,
    audit,
    dead_letters,
    openapi,
    ops,
    orders,
    products,
    repairs,
    replays,
)
from web.security import csrf


def init_app(app: OpenAPI) -> None:
    """Add the endpoints to `app`. They need no CSRF token, because they read no cookie."""
    operators = (ops.bp, dead_letters.bp, repairs.bp, replays.bp, products.bp, audit.bp)
    for blueprint in (orders.bp, *operators):
        csrf.exempt(blueprint)
        openapi.register(app, blueprint)
    app.register_blueprint(asyncapi.bp)
