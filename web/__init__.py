"""The front: the HTTP API, the shop's pages and the operators'. It talks to the database only, never to the broker."""

from flask_openapi.openapi import OpenAPI

from events import database, logs
from web import errors, health, request_context, security
from web.api import openapi, orders
from web.api import ops as ops_api
from web.api.schemas import Problem
from web.ops import overview
from web.shop import pages as shop


def create_app() -> OpenAPI:
    """The web application, set up by the environment. It connects when the first request needs the database."""
    logs.configure("web")
    database.reset_after_fork()
    app = OpenAPI(
        __name__,
        info=openapi.INFO,
        security_schemes=openapi.SCHEMES,
        validation_error_model=Problem,
        validation_error_callback=errors.refuse,
    )
    app.config.update(OPENAPI_HTML_STRING=openapi.PAGE, SWAGGER_HTML_STRING=openapi.PAGE)
    for part in (errors, request_context, security, health):
        part.init_app(app)
    for interface in (orders.bp, ops_api.bp):
        security.csrf.exempt(interface)  # no cookie means anything there
        openapi.register(app, interface)
    for pages in (shop.bp, overview.bp):
        app.register_blueprint(pages)
    return app
