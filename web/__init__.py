"""The front: the HTTP API, the shop's pages and the operators'. It talks to the database only, never to the broker."""

from flask_openapi.openapi import OpenAPI

from events import database, logs
from web import api, documentation, errors, health, ops, ops_api, requests, security, shop
from web.answers import Problem


def create_app() -> OpenAPI:
    """The web application, set up by the environment. It connects when the first request needs the database."""
    logs.configure("web")
    database.forget_after_fork()
    app = OpenAPI(
        __name__,
        info=documentation.INFO,
        security_schemes=documentation.SCHEMES,
        validation_error_model=Problem,
        validation_error_callback=errors.refuse,
    )
    app.config.update(OPENAPI_HTML_STRING=documentation.PAGE, SWAGGER_HTML_STRING=documentation.PAGE)
    for part in (errors, requests, security, health):
        part.init_app(app)
    for interface in (api.bp, ops_api.bp):
        security.csrf.exempt(interface)  # no cookie means anything there
        documentation.register(app, interface)
    for pages in (shop.bp, ops.bp):
        app.register_blueprint(pages)
    return app
