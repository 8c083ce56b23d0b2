"""The origin of a change: what the browser saw decides, and a refusal names both sides."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

import web
from tests.web.payloads import NO_ROWS, order_payload, row_counts

OWN = "shop.example"


def _order(client: FlaskClient, headers: dict[str, str], base: str = f"http://{OWN}") -> int:
    return client.post(
        "/api/v1/orders", json=order_payload(), headers=headers, base_url=base
    ).status_code


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://shop.example"},
        {"Origin": "http://SHOP.example"},
        # TLS ends at a proxy that says nothing.
        {"Origin": "https://shop.example"},
        {"Sec-Fetch-Site": "same-origin"},
        # The proxy hides the host; the browser saw another one, and judged.
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://public.example"},
        {"Sec-Fetch-Site": "none"},
        {"Referer": "http://shop.example/orders?token=secret"},
        {"Referer": "https://shop.example/"},
        {"Referer": ""},  # as some proxies for privacy leave it
    ],
    ids=str,
)
def test_the_sites_own_pages_and_programs_may_change_data(
    client: FlaskClient, headers: dict[str, str]
):
    assert _order(client, headers) == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://shop.example.evil.example"},
        {"Origin": "http://shop.example@evil.example"},
        {"Origin": "http://shop.example:8080"},
        {"Origin": "http://[shop.example"},
        {"Origin": "javascript://shop.example"},
        {"Origin": "shop.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        # Another page of ours cannot make a browser lie about where the request began.
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://shop.example"},
        {"Sec-Fetch-Site": "garbage", "Origin": "https://evil.example"},
        {"Referer": "https://evil.example/shop.example"},
        {"Referer": "http://[evil"},
    ],
    ids=str,
)
def test_pages_of_other_sites_may_not(no_write_client: FlaskClient, headers: dict[str, str]):
    assert _order(no_write_client, headers) == 403


def test_a_page_of_plain_http_may_not_change_what_is_served_over_tls(no_write_client: FlaskClient):
    assert _order(no_write_client, {"Origin": "http://shop.example"}, f"https://{OWN}") == 403


@pytest.mark.parametrize(
    ("base", "origin"),
    [
        ("http://shop.example:8080", "http://shop.example:8080"),
        ("http://shop.example:443", "https://shop.example"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_port_is_part_of_the_origin(client: FlaskClient, base: str, origin: str):
    assert _order(client, {"Origin": origin}, base) == 202


def test_a_trusted_proxy_says_what_the_browser_saw(stocked: None, environment: pytest.MonkeyPatch):
    environment.setenv("TRUSTED_PROXIES", "1")
    client = web.create_app().test_client()
    seen = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "public.example",
        "X-Forwarded-Port": "8443",
    }

    assert _order(client, seen | {"Origin": "https://public.example:8443"}) == 202
    assert _order(client, seen | {"Origin": "https://public.example"}) == 403
    assert _order(client, seen | {"Origin": f"http://{OWN}"}) == 403


def test_the_refusal_names_both_sides_and_the_remedy(app: Flask):
    refused = app.test_client().post(
        "/orders", headers={"Referer": "https://evil.example/a?token=secret", "Host": OWN}
    )

    assert refused.json is not None
    assert (
        "page of https://evil.example, and this site is http://shop.example"
        in (refused.json["detail"])
    )
    assert "TRUSTED_PROXIES must count it" in refused.json["detail"]
    assert "secret" not in refused.text
    assert row_counts() == NO_ROWS
