"""The HTTP API, the shop's pages and the operators' pages. The web uses the database, no broker."""

from flask_openapi.openapi import OpenAPI

from events import database, environment, logs
from web import (
    api,
    buffering,
    errors,
    filters,
    health,
    metrics,
    ops,
    rate_limit,
    request_context,
    security,
    shop,
)
from web.api import openapi


def create_app() -> OpenAPI:
    """Create the web application from the environment. It connects at the first request.

    Raises `InvalidSettings`.
    """
    environment.require_valid()
    logs.configure("web")
    database.reset_after_fork()
    database.go_first()  # an order that is being accepted goes before all others
    app = openapi.create(__name__)
    for part in (
        errors,
        request_context,
        metrics,
        security,
        rate_limit,
        health,
        filters,
        api,
        shop,
        ops,
        buffering,
    ):
        part.init_app(app)
    return app
