"""What every page keeps to: nothing inline, nothing from elsewhere, labels for all fields."""

import re

import pytest
from flask.testing import FlaskClient

from tests.web.asking import OPS
from tests.web.pages import HTML, ordered

PAGES = [
    "/",
    "/ops",
    "/ops/orders",
    "/ops/products",
    "/ops/events",
    "/ops/dead-letters",
    "/ops/queues",
    "/ops/catalog",
    "/ops/mails",
    "/no",
]


@pytest.fixture
def page(client: FlaskClient, path: str) -> str:
    return client.get(ordered(client) if path == "order" else path, headers=HTML | OPS).text


@pytest.mark.parametrize("path", [*PAGES, "order"])
def test_no_page_has_anything_inline_or_from_elsewhere(page: str):
    assert "style=" not in page
    assert "<style" not in page
    assert not re.search(r"\son\w+=", page)
    assert not re.search(r"<script(?![^>]* src=\"/static/)", page)
    assert not re.search(r"(?:src|href|action|data-source)=\"(?:https?:)?//", page)
    assert "javascript:" not in page


@pytest.mark.parametrize("path", [*PAGES, "order"])
def test_every_field_has_a_name_for_those_who_do_not_see(page: str):
    labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', page))
    for field in re.findall(r"<(?:input|select)\b[^>]*>", page):
        if 'type="hidden"' not in field and "aria-label" not in field:
            [id] = re.findall(r'\sid="([^"]+)"', field)
            assert id in labelled, field


@pytest.mark.parametrize("path", [*PAGES, "order"])
def test_no_id_stands_twice_on_a_page(page: str):
    ids = re.findall(r'\sid="([^"]+)"', page)

    assert len(ids) == len(set(ids))
    assert page.count("<h1>") == 1
    assert '<html lang="en">' in page


@pytest.mark.parametrize("path", ["/static/tidings.css", "/static/tidings.js", "/static/icon.svg"])
def test_what_pages_need_comes_from_here(client: FlaskClient, path: str):
    with client.get(path) as answer:
        assert answer.status_code == 200
        assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", answer.data)
