"""The OpenAPI document's page at /openapi: Swagger UI from its package, started by a script of ours, nothing from elsewhere."""

from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.info import Info
from flask_openapi.models.security_scheme import SecurityScheme
from flask_openapi.openapi import OpenAPI

INFO = Info(
    title="Tidings",
    version="1",
    description="Orders are accepted with 202 and saved; services that know nothing of each other take them from there.",
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
        "description": "the same, where no header can be sent",
    },
    "ops_login": {
        "type": "http",
        "scheme": "basic",
        "description": "user and password of OPS_AUTH",
    },
}
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


def register(app: OpenAPI, interface: APIBlueprint) -> None:
    """Add an interface to `app` and its document; what others offer under the same path stays in the document."""
    offered = {path: item for path, item in app.paths.items() if path in interface.paths}
    app.register_api(interface)  # flask-openapi 5.0 lets the last blueprint have the path
    for path, item in offered.items():
        app.paths[path] = item.model_copy(
            update={method: operation for method, operation in interface.paths[path] if operation}
        )
