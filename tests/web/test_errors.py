"""One format for every error: problem+json, or a page for a browser."""

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

import web
from events import Database, transaction
from events.database import use
from events.errors import TidingsError
from tests.disks import Disk
from tests.web.payloads import NO_ROWS, OPS, order_payload, row_counts
from web.errors import TABLE, WebError, problem_of
from web.problems import DATABASE_BUSY


def _tree(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(each for child in kind.__subclasses__() for each in _tree(child))]


@pytest.fixture
def sealed(
    disk: Disk, sqlite_template: Path, environment: pytest.MonkeyPatch
) -> Iterator[FlaskClient]:
    """A client while the file system of the database is read-only."""
    path = disk.folder / "tidings.sqlite"
    shutil.copyfile(sqlite_template, path)
    disk.seal()
    database = Database(f"sqlite:///{path}")
    use(database)
    yield web.create_app().test_client()
    use(None)
    database.close()


def test_every_error_of_the_web_has_its_line_in_the_table():
    missing = [
        kind.__name__
        for kind in _tree(WebError)
        if kind is not WebError and not set(kind.__mro__) & set(TABLE)
    ]

    assert missing == []


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api", "/nothing", "/api/v1/orders/"])
def test_an_unknown_address_is_a_problem(no_write_client: FlaskClient, path: str):
    answer = no_write_client.get(path)

    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert answer.json["instance"] == f"urn:uuid:{answer.headers['X-Correlation-Id']}"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/v1/orders", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("DELETE", "/api/v1/products", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("GET", "/api/v1/dead-letters/replay", {"OPTIONS", "POST"}),
        ("PUT", "/livez", {"GET", "HEAD", "OPTIONS"}),
        ("MADE-UP", "/livez", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_method_that_is_not_allowed_names_those_that_are(
    no_write_client: FlaskClient, method: str, path: str, allowed: set[str]
):
    answer = no_write_client.open(path, method=method)

    assert (answer.status_code, answer.content_type) == (405, "application/problem+json")
    assert {each.strip() for each in answer.headers["Allow"].split(",")} == allowed


def test_an_unforeseen_error_tells_nothing_of_its_cause_and_is_logged(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("password=swordfish")

    monkeypatch.setattr("tasks.placing.place", broken)
    with caplog.at_level(logging.ERROR):
        answer = app.test_client().post("/api/v1/orders", json=order_payload())

    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "swordfish" not in answer.text
    assert "Traceback" not in answer.text
    assert "request.failed" in caplog.text
    assert row_counts() == NO_ROWS


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_PROTOCOL])
def test_a_database_that_is_busy_asks_to_try_again(
    code: int, app: Flask, monkeypatch: pytest.MonkeyPatch
):
    def locked(*_: object, **__: object) -> None:
        error = sqlite3.OperationalError("others hold its lock")
        error.sqlite_errorcode = code
        raise OperationalError("INSERT", {}, error)

    monkeypatch.setattr("tasks.placing.place", locked)
    answer = app.test_client().post("/api/v1/orders", json=order_payload())

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "INSERT" not in answer.text


def test_a_statement_that_the_server_cancelled_asks_to_try_again(postgres_database: Database):
    with transaction() as session:
        session.execute(text("SET LOCAL statement_timeout = '20ms'"))
        with pytest.raises(OperationalError) as raised:
            session.execute(text("SELECT pg_sleep(180)"))

    assert problem_of(raised.value) == DATABASE_BUSY


def test_a_database_that_can_only_be_read_is_said_to_client_log_and_probe(
    sealed: FlaskClient, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.ERROR):
        api, form, ready = (
            sealed.post("/api/v1/orders", json=order_payload()),
            sealed.get("/"),
            sealed.get("/readyz"),
        )

    assert (api.status_code, api.json["title"], api.headers["Retry-After"]) == (
        503,
        "Database cannot save",
        "30",
    )
    assert (ready.status_code, ready.json) == (
        503,
        {"status": "not ready", "database": "cannot save"},
    )
    assert (form.status_code, "The database accepts no writes" in form.text) == (503, True)
    assert "its file cannot be opened: check that its folder is writable" in caplog.text
    assert "ada@example.org" not in caplog.text


def test_an_error_that_nobody_foresaw_is_a_500():
    assert problem_of(TidingsError("something new")).status == 500


def test_a_browser_gets_a_page(no_write_client: FlaskClient):
    answer = no_write_client.get(
        "/nothing", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    )

    assert (answer.status_code, answer.mimetype) == (404, "text/html")


def test_under_the_api_a_browser_gets_a_problem_too(no_write_client: FlaskClient):
    answer = no_write_client.get("/api/v1/nothing", headers={"Accept": "text/html"})

    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


def test_an_error_is_not_kept_by_caches(no_write_client: FlaskClient):
    assert no_write_client.get("/api/v1/nothing").headers["Cache-Control"] == "no-store"


def test_a_page_of_another_site_changes_nothing_with_the_login_of_its_reader(client: FlaskClient):
    order = client.post("/api/v1/orders", json=order_payload()).json
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"} | OPS

    foreign_site = client.post(order["links"]["cancel"], headers=foreign)
    opaque = client.post(order["links"]["cancel"], headers=OPS | {"Origin": "null"})
    own = client.post(
        order["links"]["cancel"],
        headers=OPS | {"Origin": "http://localhost"},
        json={"reason": "by telephone"},
    )

    assert [answer.status_code for answer in (foreign_site, opaque, own)] == [403, 403, 200]
    with transaction():
        assert row_counts()["events"] == 2
