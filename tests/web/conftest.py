"""The web application on a real database, with the shop's products on the shelf."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

import events.database
import tasks.settings
import web
import web.settings
from events import Base, Database, subscriptions, transaction
from tasks import inventory, products
from tests.web.asking import OPS_AUTH, written


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of the web; what a test sets with `setenv` before it asks for `app` is heeded."""
    monkeypatch.setenv("SECRET_KEY", "only for tests")
    monkeypatch.setenv("OPS_AUTH", OPS_AUTH)
    for settings in (tasks.settings.settings, web.settings.settings):
        settings.cache_clear()
    yield monkeypatch
    for settings in (tasks.settings.settings, web.settings.settings):
        settings.cache_clear()


def _stocked() -> None:
    subscriptions.discover("tasks", skip={"celery"})
    with transaction() as session:
        products.seed(session)
        inventory.add_opening_stock(session, {sku: 100 for sku, *_ in products.SEED})


@pytest.fixture
def stocked(database: Database) -> None:
    """The catalogue, with a hundred of each product on the shelf."""
    _stocked()


@pytest.fixture
def app(stocked: None, environment: pytest.MonkeyPatch) -> Flask:
    """The web application on SQLite."""
    return web.create_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Who asks the web application."""
    return app.test_client()


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Flask]]:
    """One stocked database and one application for all tests that write nothing."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('standing') / 'tidings.sqlite'}")
    Base.metadata.create_all(database.writer)
    events.database.use(database)
    _stocked()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SECRET_KEY", "only for tests")
        app = web.create_app()
    yield database, app
    database.close()


@pytest.fixture
def refused(
    standing: tuple[Database, Flask], environment: pytest.MonkeyPatch
) -> Iterator[FlaskClient]:
    """Who asks for what must be refused: it is checked that no row was written."""
    database, app = standing
    events.database.use(database)
    before = written()
    yield app.test_client()
    assert written() == before
    events.database.use(None)


@pytest.fixture
def any_app(any_database: Database, environment: pytest.MonkeyPatch) -> Flask:
    """The web application: the test runs on SQLite and on PostgreSQL."""
    _stocked()
    return web.create_app()
