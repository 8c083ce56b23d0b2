"""The shop's pages: the order form and a customer's order."""

from flask import Flask

from web.shop import pages


def init_app(app: Flask) -> None:
    """Add the pages to `app`."""
    app.register_blueprint(pages.bp)
