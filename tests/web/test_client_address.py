"""The address of a client behind a proxy, for the log and for the limit on orders."""

import pytest

import web
from events import reading
from events.tables import LogEntry
from tests.web.payloads import order_payload

FORWARDED = [
    ("203.0.113.9:51234", "203.0.113.9"),
    ("[2001:db8::9]:51234", "2001:db8::9"),
    ("[2001:db8::9]", "2001:db8::9"),
    ('"[2001:db8::9]:4711"', "2001:db8::9"),
    ("::ffff:203.0.113.9", "203.0.113.9"),
    ("[64:ff9b::cb00:7109]:80", "203.0.113.9"),
    ("fe80::1%eth0", "fe80::1"),
    ("203.0.113.9:", "203.0.113.9"),
    ("unknown", None),
    ("203.0.113.900:1", None),
]


@pytest.mark.parametrize(("forwarded", "seen"), FORWARDED)
def test_an_address_is_read_from_whatever_a_proxy_writes(
    stocked: None, environment: pytest.MonkeyPatch, forwarded: str, seen: str | None
):
    environment.setenv("TRUSTED_PROXIES", "1")
    answer = (
        web.create_app()
        .test_client()
        .post("/api/v1/orders", json=order_payload(), headers={"X-Forwarded-For": forwarded})
    )

    assert answer.status_code == 202
    with reading() as session:
        assert session.query(LogEntry).one().actor.get("ip") == seen


@pytest.mark.parametrize(
    "addresses",
    [
        ["203.0.113.9:51234", "203.0.113.9:51235", "203.0.113.9", "::ffff:203.0.113.9"],
        ["2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", "[2001:db8:1:2::9]:80", "2001:db8:1:2::a"],
        ["unknown", "_hidden", "<script>", "unknown:1"],
    ],
)
def test_another_port_or_address_of_one_client_evades_no_limit(
    stocked: None, environment: pytest.MonkeyPatch, addresses: list[str]
):
    environment.setenv("TRUSTED_PROXIES", "1")
    environment.setenv("RATE_LIMIT", "3/hour")
    client = web.create_app().test_client()

    def order(address: str) -> int:
        headers = {"X-Forwarded-For": address}
        return client.post("/api/v1/orders", json=order_payload(), headers=headers).status_code

    assert [order(each) for each in addresses] == [202, 202, 202, 429]
    assert order("2001:db8:1:3::1") == 202
