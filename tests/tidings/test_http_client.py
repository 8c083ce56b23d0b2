"""The HTTP client: loopback addresses bypass the proxy of the environment."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.servers import free_port
from tidings.http_client import is_loopback, open_client


class Hello(BaseHTTPRequestHandler):
    """A handler that answers every GET."""

    def do_GET(self) -> None:
        self.send_response(200)
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
    server: str, monkeypatch: pytest.MonkeyPatch
):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    with open_client(server, timeout=5) as client:
        assert client.get("/").text == "hello"


def test_other_hosts_use_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    refused = pytest.raises(httpx.ConnectError, match="refused")
    with open_client("http://shop.example", timeout=5) as client, refused:
        client.get("/")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("LocalHost", True),
        ("10.0.0.1", False),
        ("shop.example", False),
        ("", False),
    ],
)
def test_loopback_hosts_are_recognised(host: str, expected: bool):
    assert is_loopback(host) is expected
