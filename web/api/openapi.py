"""The OpenAPI document and its page, /openapi: Swagger UI from a package, started by a script."""

from typing import Any

from flask import request
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.info import Info
from flask_openapi.models.security_scheme import SecurityScheme
from flask_openapi.openapi import OpenAPI

from web.api.schemas import Problem
from web.errors import raise_invalid

INFO = Info(
    title="Tidings",
    version="1",
    description="An accepted order is answered with 202 and saved. "
    "Independent services then process it.",
)
SCHEMES: dict[str, SecurityScheme | dict[str, str]] = {
    "order_token": {
        "type": "http",
        "scheme": "bearer",
        "description": "the token that came with the order",
    },
    "order_token_query": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "the same token, for clients that cannot set a header",
    },
    "ops_login": {
        "type": "http",
        "scheme": "basic",
        "description": "user and password of OPS_AUTH",
    },
}
OPS_AUTH: list[dict[str, list[str]]] = [{"ops_login": []}]
ORDER_AUTH: list[dict[str, list[str]]] = [
    {"order_token": []},
    {"order_token_query": []},
    *OPS_AUTH,
]
PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Tidings API</title>
  <link rel="icon" href="{{ url_for('static', filename='icon.svg') }}" type="image/svg+xml">
  <link rel="stylesheet" href="{{ url_for('swagger.static', filename='css/swagger-ui.css') }}">
</head>
<body>
  <main id="swagger-ui" data-document="{{ url_for('openapi.doc_url') }}">
    <noscript><a href="{{ url_for('openapi.doc_url') }}">The OpenAPI document</a></noscript>
  </main>
  <script src="{{ url_for('swagger.static', filename='js/swagger-ui-bundle.js') }}"></script>
  <script src="{{ url_for('static', filename='openapi.js') }}"></script>
</body>
</html>
"""


class Documented(OpenAPI):
    """An application whose document names the path prefix under which a proxy shows it."""

    @property
    def api_doc(self) -> dict[str, Any]:
        """The document; it is the same for all requests but for the prefix."""
        document: dict[str, Any] = super().api_doc
        root = request.script_root
        return document | {"servers": [{"url": root}]} if root else document


def create(import_name: str) -> OpenAPI:
    """Create an application that documents its endpoints and refuses invalid input as a problem."""
    app = Documented(
        import_name,
        info=INFO,
        security_schemes=SCHEMES,
        validation_error_model=Problem,
        validation_error_callback=raise_invalid,
    )
    app.config.update(OPENAPI_HTML_STRING=PAGE, SWAGGER_HTML_STRING=PAGE)
    return app


def register(app: OpenAPI, blueprint: APIBlueprint) -> None:
    """Add a blueprint to `app` and its document, beside other blueprints' methods of a path."""
    shared = {path: item for path, item in app.paths.items() if path in blueprint.paths}
    app.register_api(blueprint)  # flask-openapi 5.0 replaces a path that is there already
    for path, item in shared.items():
        app.paths[path] = item.model_copy(
            update={method: operation for method, operation in blueprint.paths[path] if operation}
        )
