"""The webhook: its signature, its answers, and the addresses that it never connects to."""

import base64
import hashlib
import hmac
import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from events import DeadLetter, RetryAfter
from events.environment import InvalidSettings, read
from events.errors import BadValue
from tasks import gateways
from tasks.gateways.ports import GatewayBusy, GatewayDown, GatewayError
from tasks.settings import Settings, settings
from tasks.webhook_settings import check_address, networks_of
from tests.servers import missing
from tests.tasks.gateways.receiver import Receiver, receiving

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
Configure = Callable[..., None]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Return a function that sets the address of the webhook, and more."""

    def configure(url: str, *, networks: str = "127.0.0.0/8", secret: str = SECRET) -> None:
        monkeypatch.setenv("ALERT_WEBHOOK_URL", url)
        monkeypatch.setenv("ALERT_WEBHOOK_SECRET", secret)
        monkeypatch.setenv("ALERT_WEBHOOK_NETWORKS", networks)
        settings.cache_clear()

    yield configure
    settings.cache_clear()


@pytest.fixture
def receiver(configured: Configure) -> Iterator[Receiver]:
    with receiving() as running:
        configured(running.url)
        yield running


def send(body: Any = "hello") -> None:
    gateways.webhook().post("01a2", json.dumps({"text": body}).encode())


def test_a_message_is_signed_as_standard_webhooks_says(
    receiver: Receiver, configured: Configure
) -> None:
    older = "whsec_" + base64.b64encode(KEY[::-1]).decode()
    configured(receiver.url, secret=f"{SECRET} {older}")
    send()

    [(path, headers, body)] = receiver.requests
    assert (path, json.loads(body)) == ("/hook", {"text": "hello"})
    assert headers["webhook-id"] == "01a2"
    signed = f"01a2.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-signature"].split() == [
        "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        for key in (KEY, KEY[::-1])
    ]
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (302, {"Location": "http://127.0.0.1/"}, DeadLetter),
        (400, {}, DeadLetter),
        (410, {}, DeadLetter),
        (429, {"Retry-After": "7"}, RetryAfter),
        (500, {}, GatewayError),
        (503, {}, GatewayBusy),
    ],
)
def test_an_answer_that_is_no_success_is_an_error_of_its_class(
    receiver: Receiver, status: int, headers: dict[str, str], error: type[Exception]
) -> None:
    receiver.status, receiver.headers = status, headers
    with pytest.raises(error, match=str(status)) as raised:
        send()
    assert receiver.url not in str(raised.value)
    assert len(receiver.requests) == 1  # a redirect is not followed


def test_a_receiver_that_says_nothing_or_is_away_is_not_now(
    receiver: Receiver, configured: Configure
) -> None:
    receiver.hangs.set()
    with pytest.raises(GatewayDown, match="did not answer"):
        send()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    configured(f"http://127.0.0.1:{port}/")
    with pytest.raises(GatewayDown, match="cannot be reached"):
        send()


def test_a_name_is_resolved_once_and_the_connection_goes_to_that_address(
    receiver: Receiver, configured: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    leads_to, of_the_system = ["127.0.0.1"], socket.getaddrinfo

    def resolve(host: str, port: int, *rest: Any, **options: Any) -> list[Any]:
        if host != "hooks.example":
            return of_the_system(host, port, *rest, **options)
        asked.append(host)
        return [(socket.AF_INET, 1, 6, "", (each, port)) for each in leads_to]

    configured(f"http://hooks.example:{receiver.port}/x")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    send()
    [(_, headers, _)] = receiver.requests
    assert headers["Host"] == f"hooks.example:{receiver.port}"
    assert asked == ["hooks.example"]

    configured(f"https://hooks.example:{receiver.port}/x")
    for inside in (["10.0.0.1"], ["1.1.1.1", "169.254.169.254"], ["::ffff:10.0.0.1"]):
        leads_to[:] = inside
        with pytest.raises(DeadLetter, match=r"ALERT_WEBHOOK_URL leads to .* inside a network"):
            send()
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "inside",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "192.0.0.192", "192.0.0.9", "192.0.2.1", "198.18.0.1", "224.0.0.1"),
        *("240.0.0.1", "255.255.255.255", "192.88.99.1"),
        *("::1", "::", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1", "3fff::1", "::7f00:1"),
        *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1"),
        *("2001:0:4136:e378::1", "2606:4700::5efe:a00:1", "2606:4700::200:5efe:7f00:1", "100::1"),
        *("5f00::1", "fec0::1"),
    ],
)
def test_an_address_inside_a_network_is_refused_whatever_it_is_wrapped_in(inside: str) -> None:
    with pytest.raises(BadValue, match="is inside a network"):
        check_address(ip_address(inside), [], tls=True)


def test_global_addresses_and_ones_own_networks_are_allowed() -> None:
    for outside in ("8.8.8.8", "2606:4700::1", "64:ff9b::808:808", "::ffff:8.8.8.8"):
        check_address(ip_address(outside), [], tls=True)
    with pytest.raises(BadValue, match="has no TLS"):
        check_address(ip_address("8.8.8.8"), networks_of("10.0.0.0/8"), tls=False)
    for own in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1"):
        check_address(ip_address(own), networks_of("10.0.0.0/8, fd00::/8"), tls=False)


@pytest.mark.parametrize(
    ("url", "secret", "networks", "reason"),
    [
        ("ftp://hooks.example/", SECRET, "", "is no address with https"),
        ("hooks.example", SECRET, "", "is no address with https"),
        ("https://ada:sesame@hooks.example/", SECRET, "", "has a login"),
        ("https://hooks.example:99999/", SECRET, "", "cannot be read"),
        ("https://hooks..example/", SECRET, "", "a part that is empty"),
        ("https://[::1/", SECRET, "", "cannot be read"),
        ("http://hooks.example/", SECRET, "", "has no TLS"),
        ("https://127.0.0.1/", SECRET, "", "leads to 127.0.0.1"),
        ("https://127.1/", SECRET, "", "leads to 127.0.0.1"),
        ("https://2130706433/", SECRET, "", "leads to 127.0.0.1"),
        ("https://0x0a000001/", SECRET, "192.168.0.0/16", "leads to 10.0.0.1"),
        ("https://127.0.0.1./", SECRET, "", "leads to 127.0.0.1"),
        ("https://127\u30020\u30020\u30021/", SECRET, "", "leads to 127.0.0.1"),
        ("https://LocalHost./", SECRET, "", "leads to 127.0.0.1"),
        ("https://ops.localhost/", SECRET, "", "leads to 127.0.0.1"),
        ("https://[64:ff9b::7f00:1]/", SECRET, "", "leads to 64:ff9b::7f00:1"),
        ("https://10.0.0.1/", SECRET, "192.168.0.0/16", "leads to 10.0.0.1"),
        ("https://hooks.example/", "", "", "is given without ALERT_WEBHOOK_SECRET"),
        ("https://hooks.example/", "sesame", "", "is not whsec_"),
        ("https://hooks.example/", "whsec_c2VzYW1l", "", "has 6 bytes"),
        ("https://hooks.example/", SECRET, "10.0.0.1/8", "is no network"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_their_secrets(
    url: str, secret: str, networks: str, reason: str, configured: Configure
) -> None:
    configured(url, networks=networks, secret=secret)
    with pytest.raises(InvalidSettings, match=reason) as raised:
        read(Settings)
    assert len(raised.value.wrong) == 1
    assert "sesame" not in str(raised.value)
    assert "hooks" not in str(raised.value)


def test_the_certificate_is_checked_against_the_name(
    configured: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("openssl"):
        missing("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=tidings "
        f"-addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    )
    subprocess.run(words.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with receiving(context) as server:
        configured(f"https://localhost:{server.port}/hook", networks="127.0.0.0/8,::1")
        with pytest.raises(GatewayDown, match="certificate"):  # nobody vouches for it
            send()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send()
        configured(server.url)
        with pytest.raises(GatewayDown, match="certificate"):  # it is not that of 127.0.0.1
            send()
    assert len(server.requests) == 1
