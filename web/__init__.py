"""The HTTP API, the shop's pages and the operators' pages. The web uses the database, no broker."""

from flask_openapi.openapi import OpenAPI

from events import database, environment, logs
from events.observers import loading
from web import (
    api,
    buffering,
    errors,
    filters,
    health,
    metrics,
    ops,
    public_address,
    rate_limit,
    refused_forms,
    request_context,
    roles,
    security,
    shop,
)
from web.api import openapi

PARTS = (
    errors,
    public_address,
    request_context,
    metrics,
    security,
    roles,
    rate_limit,
    refused_forms,
    health,
    filters,
    api,
    shop,
    ops,
    buffering,
)


def create_app() -> OpenAPI:
    """Create the web application from the environment. It connects at the first request.

    Raises `InvalidSettings`.
    """
    environment.require_valid()
    logs.configure("web")
    loading.start()
    database.reset_after_fork()
    database.go_first()  # an order that is being accepted goes before all others
    app = openapi.create(__name__)
    for part in PARTS:
        part.init_app(app)
    return app
