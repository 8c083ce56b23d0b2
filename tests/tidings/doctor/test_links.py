"""The doctor on the links in mails."""

import pytest

from tidings.doctor import links


@pytest.mark.parametrize(
    ("address", "level", "text"),
    [
        ("", "notice", "mails have no link"),
        ("http://127.0.0.1:8000", "notice", "on this machine only"),
        ("http://[::1]:8000", "notice", "on this machine only"),
        ("http://localhost", "notice", "on this machine only"),
        ("http://shop.example.com", "notice", "without TLS"),
        ("https://shop.example.com/shop", "ok", "mails link to https://shop.example.com/shop"),
    ],
)
def test_an_address_that_customers_cannot_open_safely_is_noticed(
    address: str, level: str, text: str
):
    [finding] = links.check(address, "smtp+starttls://u:p@mail.example.com:587")

    assert (finding.level, text in finding.message) == (level, True)
    assert (level == "ok") is (finding.fix == "")


@pytest.mark.parametrize("address", ["", "http://127.0.0.1:8000"])
def test_mails_that_stay_on_this_machine_need_no_address(address: str):
    [finding] = links.check(address, "smtp://127.0.0.1:1025")

    assert finding.level == "ok"
