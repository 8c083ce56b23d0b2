"""The HTTP API under /api/v1, for customers and operators, with its OpenAPI document."""

from flask_openapi.openapi import OpenAPI

from web.api import asyncapi, audit, openapi, ops, orders, products, repairs, replays
from web.security import csrf


def init_app(app: OpenAPI) -> None:
    """Add the endpoints to `app`. They need no CSRF token, because they read no cookie."""
    for blueprint in (orders.bp, ops.bp, repairs.bp, replays.bp, products.bp, audit.bp):
        csrf.exempt(blueprint)
        openapi.register(app, blueprint)
    app.register_blueprint(asyncapi.bp)
