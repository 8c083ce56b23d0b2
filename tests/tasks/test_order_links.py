"""The links in mails: the address of the order's page, with the token that opens it."""

from collections.abc import Iterator

import pytest

from events import log, reading
from events.testing import Bus
from tasks import erasure, order_links
from tasks.settings import Settings, settings
from tests.tasks.builders import found, order_created, placed
from tests.tasks.mailserver import MailServer

SHOP = "https://shop.example.com/tidings"


@pytest.fixture
def public_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PUBLIC_URL", SHOP + "/")
    settings.cache_clear()
    yield SHOP
    settings.cache_clear()


@pytest.mark.parametrize("token", ["tok_ok", "tok_declined"])
def test_every_mail_to_a_customer_has_the_link_with_the_token_of_the_order(
    bus: Bus, mail_server: MailServer, public_url: str, token: str
) -> None:
    order = placed(token)
    bus.drain()

    assert len(mail_server.mails) >= 2
    for mail in mail_server.mails:
        lines = str(mail.get_content()).splitlines()
        assert f"{public_url}/orders/{order.id}?token={order.token}" in lines


def test_a_link_of_a_replayed_mail_has_the_token_that_is_valid_now(
    bus: Bus, mail_server: MailServer, public_url: str
) -> None:
    order = placed()
    bus.drain()
    with reading() as session:
        before = order_links.links(session, [order.id])[order.id]
    erasure.erase("ada@example.org", who="ada", why="test")
    with reading() as session:
        after = order_links.links(session, [order.id])[order.id]

    assert order.token in before
    assert order.token not in after
    assert found(order).token in after


def test_no_event_holds_a_token(bus: Bus, mail_server: MailServer, public_url: str) -> None:
    order = placed()
    bus.drain()
    with reading() as session:
        envelopes = log.about(session, order.number)

    assert len(envelopes) > 4
    assert not [each for each in envelopes if order.token in str(each.to_json())]


def test_without_a_public_address_mails_have_no_link(bus: Bus, mail_server: MailServer) -> None:
    placed()
    bus.drain()

    assert mail_server.mails
    assert not [mail for mail in mail_server.mails if "/orders/" in str(mail.get_content())]


def test_the_mail_about_an_imported_order_waits_for_the_row_with_its_token(
    bus: Bus, mail_server: MailServer, public_url: str
) -> None:
    bus.fail_fast = False
    bus.publish(order_created(), subject="ORD-o-1")
    bus.drain()
    bus.advance(10)

    received = [mail for mail in mail_server.mails if "has arrived" in str(mail["Subject"])]
    assert [f"{public_url}/orders/o-1?token=" in str(mail.get_content()) for mail in received] == [
        True
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://shop.example.com", "https://shop.example.com"),
        ("https://shop.example.com/", "https://shop.example.com"),
        ("https://example.com/shop/", "https://example.com/shop"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("HTTPS://Shop.Example.COM:443", "https://shop.example.com"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("", ""),
    ],
)
def test_a_public_address_is_read_in_its_normal_form(
    monkeypatch: pytest.MonkeyPatch, written: str, read: str
) -> None:
    monkeypatch.setenv("PUBLIC_URL", written)

    assert Settings().public_url == read


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("shop.example.com", "no address of http or https"),
        ("ftp://shop.example.com", "no address of http or https"),
        ("https://", "no address of http or https"),
        ("/shop", "no address of http or https"),
        ("https://ada:secret@shop.example.com", "holds a login"),
        ("https://shop.example.com?from=mail", "something after its path"),
        ("https://shop.example.com/#top", "something after its path"),
        ("https://shop.example.com/a b", "white space"),
        ("https://shop.example.com\nBcc: v@y.io", "white space"),
    ],
)
def test_a_public_address_that_no_browser_opens_is_refused_with_one_that_it_does(
    monkeypatch: pytest.MonkeyPatch, written: str, why: str
) -> None:
    monkeypatch.setenv("PUBLIC_URL", written)

    with pytest.raises(ValueError, match=f"{why}.*write https://shop.example.com"):
        Settings()
