"""The address that browsers see: only what `TRUSTED_PROXIES` covers is believed."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from pydantic import ValidationError

import web
from tests.web.pages import HTML, OPS_HTML, VALID_FORM, hidden_field
from tests.web.payloads import OPS, order_payload
from web.settings import Settings

LIES = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "//evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "666",
    "X-Forwarded-For": "203.0.113.9",
    "X_Forwarded_Prefix": "/evil",
    "X_Forwarded_Host": "evil.example",
    "Forwarded": "for=203.0.113.9;host=evil.example;proto=https",
    "X-Real-IP": "203.0.113.9",
    "Script-Name": "//evil.example",
    "SCRIPT_NAME": "//evil.example",
    "X-Script-Name": "/evil",
    "X-Forwarded-Ssl": "on",
    "X-Forwarded-Scheme": "https",
    "X-Url-Scheme": "https",
    "X-Original-Url": "/ops",
    "X-Rewrite-Url": "/ops",
    "Front-End-Https": "on",
    "Via": "1.1 evil.example",
}
PREFIX = {"X-Forwarded-Prefix": "/shop"}


@pytest.fixture
def behind(stocked: None, environment: pytest.MonkeyPatch) -> Any:
    """Return a client behind so many trusted proxies."""

    def client(proxies: int) -> FlaskClient:
        environment.setenv("TRUSTED_PROXIES", str(proxies))
        return web.create_app().test_client()

    return client


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "198.51.100.7"])
def test_without_a_trusted_proxy_no_header_changes_an_address(client: FlaskClient, peer: str):
    peer_address = {"REMOTE_ADDR": peer}
    answers = [
        client.post(
            "/api/v1/orders", json=order_payload(), headers=headers, environ_overrides=peer_address
        )
        for headers in ({}, LIES)
    ]
    page = client.get("/", headers=HTML | LIES, environ_overrides=peer_address)

    shapes = [
        re.sub(r"[0-9a-f-]{36}|token=.*?\"|1\d{3}", "", answer.text.split('"links"')[1])
        for answer in answers
    ]
    assert shapes[0] == shapes[1]
    assert "evil" not in page.text + str(page.headers) + answers[1].text + str(answers[1].headers)
    assert "Secure" not in page.headers["Set-Cookie"]
    assert "Strict-Transport-Security" not in page.headers


def _links(page: str) -> list[str]:
    return re.findall(r'(?:href|src|action|data-document|data-source)="([^"#]+)"', page)


def test_every_link_form_and_redirect_of_the_site_has_the_prefix(behind: Any):
    client = behind(1)
    form_page = client.get("/", headers=HTML | PREFIX)
    client.set_cookie("tidings", form_page.headers["Set-Cookie"].split(";")[0].partition("=")[2])
    hidden = {name: hidden_field(form_page.text, name) for name in ("csrf_token", "key")}
    placed = client.post("/orders", data=VALID_FORM | hidden, headers=HTML | PREFIX)
    accepted = client.post("/api/v1/orders", json=order_payload(), headers=PREFIX)
    order = placed.location.removeprefix("/shop")
    pages = [
        client.get(path, headers=OPS_HTML | PREFIX, follow_redirects=False)
        for path in ("/", order, "/ops", "/ops/orders", "/ops/queues", "/openapi/", "/nothing")
    ]

    links = [link for page in pages for link in _links(page.text)]
    assert len(links) > 50
    assert [link for link in links if not link.startswith("/shop/")] == []
    assert {link for link in links if link.startswith("/shop/shop")} == set()
    assert "Path=/shop" in form_page.headers["Set-Cookie"]
    assert placed.location.startswith("/shop/orders/")
    assert {link.split("/")[1] for link in accepted.json["links"].values()} == {"shop"}
    assert accepted.headers["Location"].startswith("/shop/api/v1/orders/")
    assert client.get("/orders", headers=PREFIX).location == "/shop/"
    assert client.get("/openapi", headers=PREFIX).location == "/shop/openapi/"
    document = client.get("/openapi/openapi.json", headers=PREFIX).json
    assert document["servers"] == [{"url": "/shop"}]
    assert "servers" not in client.get("/openapi/openapi.json").json


@pytest.mark.parametrize(
    ("sent", "prefix"),
    [("/shop/", "/shop"), ("/", ""), ("", ""), ("/a/b.c", "/a/b.c"), ("/outer, /shop", "/shop")],
)
def test_a_prefix_is_believed_without_its_last_slash(behind: Any, sent: str, prefix: str):
    answer = behind(1).get("/orders", headers={"X-Forwarded-Prefix": sent})

    assert answer.location == f"{prefix}/"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Forwarded-Prefix", "//evil.example"),
        ("X-Forwarded-Prefix", "/\\evil.example"),
        ("X-Forwarded-Prefix", "https://evil.example"),
        ("X-Forwarded-Prefix", "shop"),
        ("X-Forwarded-Prefix", "/shop/../ops"),
        ("X-Forwarded-Prefix", "/shop//ops"),
        ("X-Forwarded-Prefix", '/"><script>'),
        ("X-Forwarded-Prefix", "/shop?x=1"),
        ("X-Forwarded-Prefix", "/" + "x" * 5000),
        ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Proto", "on"),
        ("X-Forwarded-Host", "shop.example/evil"),
        ("X-Forwarded-Host", "user@evil.example"),
        ("X-Forwarded-Host", "x" * 100),
        ("X-Forwarded-Host", "a..b"),
        ("X-Forwarded-Port", "0"),
        ("X-Forwarded-Port", "99999"),
        ("X-Forwarded-Port", "80@evil.example"),
        ("X-Forwarded-Port", "\u0661"),
    ],
)
def test_a_value_that_is_no_address_is_refused_with_its_name(behind: Any, header: str, value: str):
    client = behind(1)
    sent = {"HTTP_" + header.upper().replace("-", "_"): value}

    refused = client.get("/orders", environ_overrides=sent)
    page = client.get("/orders", headers=HTML, environ_overrides=sent)

    assert (refused.status_code, page.status_code) == (400, 400)
    assert header in refused.json["detail"]
    assert [link for link in _links(page.text) if not re.match(r"/[a-z]*", link)] == []
    assert client.get("/readyz", environ_overrides=sent).status_code == 200


@pytest.mark.parametrize(
    ("proxies", "sent", "secure"),
    [
        (1, "https", True),
        (1, "HTTPS", True),
        (1, "https, http", False),
        (1, "http, https", True),
        # The first of two proxies replaced the header, or the second one appended to it.
        (2, "https", True),
        (2, "https, http", True),
        (2, "https, http, http", False),
        (3, "http", False),
    ],
)
def test_the_value_of_the_outermost_trusted_proxy_counts(
    behind: Any, proxies: int, sent: str, secure: bool
):
    answer = behind(proxies).get("/", headers=HTML | {"X-Forwarded-Proto": sent})

    assert ("Secure" in answer.headers["Set-Cookie"]) is secure
    assert ("Strict-Transport-Security" in answer.headers) is secure


def test_a_shorter_list_of_addresses_is_not_believed(behind: Any):
    environ: dict[str, Any] = {"REMOTE_ADDR": "198.51.100.7"}
    answer = behind(2).post(
        "/api/v1/orders",
        json=order_payload(),
        headers={"X-Forwarded-For": "203.0.113.9"},
        environ_overrides=environ,
    )
    assert answer.status_code == 202
    events = behind(2).get("/api/v1/events", headers=OPS).text
    assert "203.0.113.9" not in events


@pytest.mark.parametrize("path", ["/openapi", "/ops//orders", "///openapi"])
def test_a_redirect_within_the_site_names_no_host(client: FlaskClient, path: str):
    answer = client.get(path, headers={"Host": "evil.example"}, environ_overrides={})

    assert answer.status_code == 308
    assert re.match(r"/(openapi|ops)/", answer.location)
    assert "evil" not in f"{answer.headers}{answer.text}"


@pytest.mark.parametrize(
    "host", ["a b", "shop.example,evil.example", "evil.example/x", "a@b", "[::1", "x" * 300, "h:0x"]
)
def test_a_host_that_is_none_is_refused(client: FlaskClient, host: str):
    answers = [
        client.get("/", headers=HTML | {"Host": host}),
        client.get("/", headers={"Host": host}),
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert "which is no host name" in answers[1].json["detail"]
    assert client.get("/livez", headers={"Host": host}).status_code == 200


def test_a_host_that_the_proxy_alone_knows_is_replaced_by_the_one_that_it_forwards(behind: Any):
    sent = {"Host": "tidings_web:8000", "X-Forwarded-Host": "shop.example"}
    origin = {"Origin": "http://shop.example"}

    assert behind(1).get("/openapi", headers=sent).location == "/openapi/"
    answer = behind(1).post("/api/v1/orders", json=order_payload(), headers=sent | origin)
    assert answer.status_code == 202
    assert behind(1).get("/openapi", headers={"Host": "tidings_web:8000"}).status_code == 400


def test_only_allowed_hosts_are_answered_if_there_are_any(
    stocked: None, environment: pytest.MonkeyPatch
):
    environment.setenv("ALLOWED_HOSTS", "shop.example, .shop.example,[::1]")
    client = web.create_app().test_client()

    answers = {
        host: client.get("/openapi", headers={"Host": host}).status_code
        for host in (
            "shop.example",
            "SHOP.example:8443",
            "www.shop.example",
            "shop.example.:8443",
            "[::1]:8000",
            "evil.example",
            "shop.example.evil.example",
            "localhost",
        )
    }

    assert [host for host, status in answers.items() if status == 400] == [
        "evil.example",
        "shop.example.evil.example",
        "localhost",
    ]
    probed, scraped = (
        client.get(path, headers={"Host": "10.0.0.7:8000"}) for path in ("/readyz", "/metrics")
    )
    assert (probed.status_code, scraped.status_code) == (200, 200)
    assert scraped.content_type.count("charset") == 1
    refused = client.get("/", headers={"Host": "evil.example"})
    assert "ALLOWED_HOSTS" in refused.json["detail"]


def test_allowed_hosts_are_compared_with_the_host_that_a_trusted_proxy_forwards(
    stocked: None, environment: pytest.MonkeyPatch
):
    environment.setenv("ALLOWED_HOSTS", "shop.example")
    environment.setenv("TRUSTED_PROXIES", "1")
    client = web.create_app().test_client()
    forwarded = {"X-Forwarded-Host": "shop.example"}

    assert client.get("/", headers=forwarded | {"Host": "10.0.0.7:8000"}).status_code == 200
    assert client.get("/", headers={"Host": "10.0.0.7:8000"}).status_code == 400


@pytest.mark.parametrize("names", ["shop.example.", "bücher.example", ".Bücher.example."])
def test_allowed_hosts_may_be_written_in_any_form(
    names: str, stocked: None, environment: pytest.MonkeyPatch
):
    environment.setenv("ALLOWED_HOSTS", names)
    host = {"Host": "www.xn--bcher-kva.example" if names[0] == "." else "xn--bcher-kva.example"}
    allowed = {"Host": "Shop.example:8443"} if names[0] == "s" else host

    assert web.create_app().test_client().get("/openapi", headers=allowed).status_code == 308


@pytest.mark.parametrize(
    "names",
    [
        *("https://shop.example", "shop.example:8000", "*", "a b", ",", ".", "$HOST", "a..b"),
        *("shop.example;www.shop.example", "tidings_web"),
    ],
)
def test_allowed_hosts_that_no_request_can_match_are_refused_at_the_start(
    names: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ALLOWED_HOSTS", names)

    with pytest.raises(ValidationError, match="write host names alone"):
        Settings()
