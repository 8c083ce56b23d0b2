"""The HTTP client: loopback addresses bypass the proxy of the environment."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.servers import HANG, free_port
from tidings.http_client import BadVariable, is_loopback, open_client


class Hello(BaseHTTPRequestHandler):
    """A handler that answers every GET."""

    def do_GET(self) -> None:
        self.send_response(401 if "Authorization" in self.headers else 200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


def test_loopback_ignores_the_proxy_of_the_environment(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for name in ("http_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("NO_PROXY", "[")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login eve password evil\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    port = server.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost"):
        with open_client(f"http://{host}:{port}", timeout=HANG) as client:
            assert client.get("/").text == "hello"


@pytest.mark.parametrize("host", ["127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"])
def test_every_spelling_of_this_machine_ignores_the_environment(host: str):
    with open_client(f"http://{host}:8000", timeout=HANG) as client:
        assert not client.trust_env


@pytest.mark.parametrize("proxy", ["ftp://proxy.example", "http://proxy:port"])
def test_a_proxy_that_is_none_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTP_PROXY", proxy)

    with pytest.raises(BadVariable, match="HTTP_PROXY"):
        open_client("http://shop.example", timeout=HANG)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SSL_CERT_FILE", "/nowhere"),
        ("SSL_CERT_FILE", __file__),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("NO_PROXY", "fd00::/8"),
    ],
)
def test_a_variable_that_cannot_work_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(name, value)

    with pytest.raises(BadVariable, match=name):
        open_client("https://shop.example", timeout=HANG)


def test_other_hosts_use_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    refused = pytest.raises(httpx.ConnectError, match="refused")
    with open_client("http://shop.example", timeout=HANG) as client, refused:
        client.get("/")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("LocalHost", True),
        ("localhost.", True),
        ("shop.localhost", True),
        ("127.255.255.254", True),
        ("127.1", True),
        ("2130706433", True),
        ("::ffff:127.0.0.1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1", False),
        ("shop.example", False),
        ("", False),
    ],
)
def test_loopback_hosts_are_recognised(host: str, expected: bool):
    assert is_loopback(host) is expected
