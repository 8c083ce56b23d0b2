"""A broker behind TLS: its certificate is checked unless the address says otherwise."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import missing
from tests.tidings.cli.test_doctor import doctor


@dataclass
class TlsServer:
    """A server that answers nothing but the handshake, and counts those that succeed."""

    listening: socket.socket
    context: ssl.SSLContext
    certificate: Path
    accepted: int = 0

    @property
    def port(self) -> int:
        return int(self.listening.getsockname()[1])

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:  # the end of the test
                return
            with (
                connection,
                suppress(OSError),
                self.context.wrap_socket(connection, server_side=True) as secure,
            ):
                self.accepted += bool(secure.recv(1))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TlsServer]:
    """Start a server whose certificate for 127.0.0.1 is signed by itself."""
    if not shutil.which("openssl"):
        missing("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=tidings "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    )
    subprocess.run(words.split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = TlsServer(listening, context, certificate)
        threading.Thread(target=found.serve, daemon=True).start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)


def _of_broker(home: Path, url: str, **env: str) -> dict[str, str]:
    run = doctor(home, "--json", BROKER_URL=url, **env)
    assert run.returncode == 3, run.stderr
    return {
        each["part"]: each["message"]
        for each in json.loads(run.stdout)
        if each["part"] in ("broker", "certificate")
    }


@pytest.mark.parametrize("url", ["rediss://127.0.0.1:{}/0", "amqps://127.0.0.1:{}//"])
def test_a_certificate_that_nobody_vouches_for_is_refused(
    url: str, server: TlsServer, tmp_path: Path
):
    found = _of_broker(tmp_path, url.format(server.port))

    assert "certificate verify failed" in found["broker"]
    assert server.accepted == 0


@pytest.mark.parametrize("url", ["rediss://127.0.0.1:{}/0", "amqps://127.0.0.1:{}//"])
def test_a_certificate_of_an_authority_of_ones_own_is_accepted(
    url: str, server: TlsServer, tmp_path: Path
):
    authority = {"SSL_CERT_FILE": str(server.certificate)}
    found = _of_broker(tmp_path, url.format(server.port), **authority)

    assert server.accepted > 0, found
    server.accepted = 0
    _of_broker(tmp_path, url.format(server.port).replace("127.0.0.1", "localhost"), **authority)
    assert server.accepted == 0  # the certificate is for another name


def test_an_address_that_accepts_any_certificate_is_a_problem(server: TlsServer, tmp_path: Path):
    url = f"rediss://127.0.0.1:{server.port}/0?ssl_cert_reqs=none"

    found = _of_broker(tmp_path, url)

    assert "any server can present itself as the broker" in found["certificate"]
    assert server.accepted > 0
