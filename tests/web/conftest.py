"""The web application on a real database, with the shop's products in stock."""

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import events.database
import tasks.settings
import web
import web.settings
from events import Base, Database, logs, subscriptions, transaction
from events.testing import Bus, create_missing_tables
from tasks import inventory, products
from tests.servers import HANG
from tests.web.payloads import OPS_AUTH, order_payload, row_counts
from tests.web.process import WebProcess
from tests.worlds import Worlds
from web import rate_limit


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of the web, in which a test may set variables before it requests `app`."""
    monkeypatch.setenv("SECRET_KEY", "only for tests")
    monkeypatch.setenv("OPS_AUTH", OPS_AUTH)
    for settings in (tasks.settings.settings, web.settings.settings):
        settings.cache_clear()
    yield monkeypatch
    for settings in (tasks.settings.settings, web.settings.settings):
        settings.cache_clear()


def _stocked() -> None:
    subscriptions.discover("tasks", skip={"celery"})
    create_missing_tables(events.database.database())  # those of modules that are imported only now
    with transaction() as session:
        products.seed(session)
        inventory.add_opening_stock(session, {sku: 100 for sku, *_ in products.SEED})


@pytest.fixture
def stocked(database: Database) -> None:
    """The products, with a hundred of each in stock."""
    _stocked()


@pytest.fixture
def stocked_any(any_database: Database) -> None:
    """The products, once on SQLite and once on PostgreSQL."""
    _stocked()


@pytest.fixture
def run_web(any_database: Database, tmp_path: Path) -> Iterator[Callable[..., WebProcess]]:
    """Yield a function that starts the web with these settings on the database."""
    started: list[WebProcess] = []

    def run(**options: Any) -> WebProcess:
        url = any_database.url.render_as_string(hide_password=False)
        started.append(WebProcess(tmp_path, url, **options))
        started[-1].start()
        return started[-1]

    yield run
    for each in started:
        each.terminate()
        each.wait(within=HANG)


@lru_cache(maxsize=4)
def _created(
    environment: frozenset[tuple[str, str]],
) -> tuple[Flask, dict[str, Any], dict[str, Any]]:
    app = web.create_app()
    return app, app.config.copy(), app.extensions.copy()


def new_app() -> Flask:
    """Return the application of this environment as if it were new.

    Creating one takes longer than most tests, so those that set nothing share one.
    """
    variables = {key: os.environ[key] for key in os.environ if key != "PYTEST_CURRENT_TEST"}
    app, config, extensions = _created(frozenset(variables.items()))
    for kept, new in ((app.config, config), (app.extensions, extensions)):
        kept.clear()
        kept.update(new)
    rate_limit.init_app(app)  # without what it has counted
    logs.configure("web")
    return app


@pytest.fixture
def app(stocked: None, environment: pytest.MonkeyPatch) -> Flask:
    """The web application on SQLite."""
    return new_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the web application."""
    return app.test_client()


@pytest.fixture
def dead_charges(app: Flask, database: Database, worlds: Worlds) -> Iterator[Bus]:
    """A shop with three charges that are dead letters, and the services of its payment."""
    services = [each for each in subscriptions.registered().values() if each.queue == "payment"]

    def charge_in_vain() -> float:
        with Bus(subscriptions=services, fail_fast=False) as bus:
            for _ in range(3):
                body = order_payload() | {"payment_token": "tok_broken"}
                assert app.test_client().post("/api/v1/orders", json=body).status_code == 202
            for _ in range(10):
                bus.advance(3600)
        return 10 * 3600.0

    passed = worlds.enter("dead charges", database, charge_in_vain)
    with Bus(subscriptions=services, fail_fast=False) as bus:
        bus.clock.advance(passed)
        yield bus


@pytest.fixture(scope="session")
def shared_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Flask]]:
    """One stocked database and one application for all tests that write nothing."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('shared_app') / 'tidings.sqlite'}")
    Base.metadata.create_all(database.writer)
    events.database.use(database)
    _stocked()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SECRET_KEY", "only for tests")
        app = web.create_app()
    yield database, app
    database.close()


@pytest.fixture
def no_write_client(
    shared_app: tuple[Database, Flask], environment: pytest.MonkeyPatch
) -> Iterator[FlaskClient]:
    """A client for requests that must be refused; fails if one of them writes a row."""
    database, app = shared_app
    events.database.use(database)
    before = row_counts()
    yield app.test_client()
    assert row_counts() == before
    events.database.use(None)


@pytest.fixture
def any_app(any_database: Database, environment: pytest.MonkeyPatch) -> Flask:
    """The web application, once on SQLite and once on PostgreSQL."""
    _stocked()
    return new_app()
