"""Rules for every page: no inline script or style, no other host, a label for each field."""

import re

import pytest
from flask.testing import FlaskClient

from tests.web.pages import HTML, place_order
from tests.web.payloads import OPS

PATHS = [
    "/",
    "/ops",
    "/ops/orders",
    "/ops/products",
    "/ops/events",
    "/ops/dead-letters",
    "/ops/queues",
    "/ops/catalog",
    "/ops/schedules",
    "/ops/breakers",
    "/ops/alerts?preview=yes",
    "/ops/mails",
    "/no",
]


@pytest.fixture
def pages(client: FlaskClient) -> dict[str, str]:
    """Each kind of page by its path."""
    return {
        path: client.get(path, headers=HTML | OPS).text for path in [*PATHS, place_order(client)]
    }


def test_no_page_has_anything_inline_or_from_elsewhere(pages: dict[str, str]):
    for path, page in pages.items():
        assert "style=" not in page, path
        assert "<style" not in page, path
        assert not re.search(r"\son\w+=", page), path
        assert not re.search(r"<script(?![^>]* src=\"/static/)", page), path
        assert not re.search(r"(?:src|href|action|data-source)=\"(?:https?:)?//", page), path
        assert "javascript:" not in page, path


def test_every_field_has_a_name_for_those_who_do_not_see(pages: dict[str, str]):
    for path, page in pages.items():
        labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', page))
        for field in re.findall(r"<(?:input|select)\b[^>]*>", page):
            if 'type="hidden"' not in field and "aria-label" not in field:
                [field_id] = re.findall(r'\sid="([^"]+)"', field)
                assert field_id in labelled, (path, field)


def test_a_page_has_one_heading_a_language_and_no_id_twice(pages: dict[str, str]):
    for path, page in pages.items():
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert len(ids) == len(set(ids)), path
        assert page.count("<h1>") == 1, path
        assert '<html lang="en">' in page, path


@pytest.mark.parametrize("path", ["/static/tidings.css", "/static/tidings.js", "/static/icon.svg"])
def test_what_pages_need_comes_from_here(no_write_client: FlaskClient, path: str):
    with no_write_client.get(path) as answer:
        assert answer.status_code == 200
        assert not re.search(rb"https?://(?!www\.w3\.org/2000/svg)", answer.data)
