"""`tidings web`: slow clients, bodies of any length, and its end."""

import fcntl
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import create_engine, text

from events import Database
from tests import forked
from tests.forked import ForkedProcess
from tests.servers import HANG, free_port, wait_until
from tests.web.payloads import order_payload
from tidings.migrations.run import migrate
from tidings.web_server import CannotListen, listen
from web.buffering import TURNS

HEAD = b"POST /api/v1/orders HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\n"
HALF_CHUNKED = HEAD + b'Transfer-Encoding: chunked\r\n\r\n4\r\n{"cu\r\n'


class Web(ForkedProcess):
    """A process of `tidings web` on a database of its own."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.database_url = f"sqlite:///{home / 'tidings.sqlite'}"
        env = {"DATABASE_URL": self.database_url, "SECRET_KEY": "only for tests"}
        command = ["tidings", "web", "--port", str(self.port)]
        super().__init__(command, home, os.environ | env)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def open(self, sent: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=HANG)
        connection.sendall(sent)
        return connection

    def wants_to_write(self) -> bool:
        """Tell whether it has its turn at the database."""
        with (self.home / "tidings.sqlite-turn").open("w") as turn:
            try:
                fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def order(self) -> httpx.Response:
        return httpx.post(f"{self.url}/api/v1/orders", json=order_payload(), timeout=HANG)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    served = Web(tmp_path)
    database = Database(served.database_url)
    migrate(database)
    database.close()
    served.launch()
    wait_until(served.listens, what="the web to listen")
    assert httpx.get(f"{served.url}/livez", timeout=HANG).status_code == 200
    yield served
    served.stop()
    assert "Traceback" not in served.log()


@pytest.mark.parametrize(
    "half",
    [HEAD, HEAD + b'Content-Length: 400\r\n\r\n{"customer"', HALF_CHUNKED],
    ids=["heads", "bodies", "chunks"],
)
def test_half_sent_requests_keep_nobody_from_ordering(web: Web, half: bytes) -> None:
    with ExitStack() as slow:
        for _ in range(200):
            slow.enter_context(web.open(half))

        assert [web.order().status_code for _ in range(TURNS + 1)] == [202] * (TURNS + 1)
        assert httpx.get(f"{web.url}/livez", timeout=HANG).status_code == 200


def test_no_request_waits_behind_a_slow_body_for_another_to_come(web: Web) -> None:
    asking = b"GET /livez HTTP/1.1\r\nHost: shop.example\r\n\r\n"
    with ExitStack() as slow, web.open(asking) as patient:
        patient.settimeout(HANG)
        for _ in range(600):  # without the wakes about one of them would wait
            assert patient.recv(1000).startswith(b"HTTP/1.1 200")
            slow.enter_context(web.open(HALF_CHUNKED))
            patient.sendall(asking)
        assert patient.recv(1000).startswith(b"HTTP/1.1 200")


def test_a_body_that_comes_late_is_accepted(web: Web) -> None:
    body = httpx.Request("POST", web.url, json=order_payload()).content
    with web.open(HEAD + b"Content-Length: %d\r\n\r\n" % len(body)) as connection:
        for byte in body[:20]:
            connection.sendall(bytes([byte]))
        connection.sendall(body[20:])

        assert connection.recv(1000).startswith(b"HTTP/1.1 202")


def test_a_chunked_body_is_accepted(web: Web) -> None:
    body = httpx.Request("POST", web.url, json=order_payload()).content
    headers = {"Content-Type": "application/json"}
    chunks = iter([body[:10], body[10:]])

    url = f"{web.url}/api/v1/orders"
    answer = httpx.post(url, content=chunks, headers=headers, timeout=HANG)

    assert answer.status_code == 202


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_refused(web: Web, chunked: bool) -> None:
    body = b" " * 70_000
    content = iter([body[:1000], body[1000:]]) if chunked else body
    headers = {"Content-Type": "application/json"}

    url = f"{web.url}/api/v1/orders"
    refused = httpx.post(url, content=content, headers=headers, timeout=HANG)

    assert refused.status_code == 413


def test_a_request_that_is_being_answered_outlives_sigterm(web: Web) -> None:
    engine = create_engine(web.database_url)
    answers: list[int] = []
    ordering = threading.Thread(target=lambda: answers.append(web.order().status_code))
    with engine.connect() as connection:
        connection.execute(text("BEGIN IMMEDIATE"))
        ordering.start()
        wait_until(web.wants_to_write, what="a request that waits for the database")
        web.terminate()
        wait_until(lambda: not web.listens(), what="the web to stop listening")
        connection.rollback()
    ordering.join()

    assert answers == [202]
    wait_until(lambda: not web.running(), what="the end of the web")


@pytest.mark.skipif(not hasattr(socket, "TCP_DEFER_ACCEPT"), reason="Linux only")
def test_a_silent_connection_to_a_web_that_ends_is_answered_by_the_next(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as listening:
        address = listening.getsockname()
        livez = f"http://127.0.0.1:{address[1]}/livez"
        command = [sys.executable, "-m", "tidings", "web", "--fd", str(listening.fileno())]
        env = os.environ | {
            "DATABASE_URL": f"sqlite:///{tmp_path / 'tidings.sqlite'}",
            "SECRET_KEY": "only for tests",
        }
        with socket.socket() as silent:
            silent.settimeout(HANG)
            for ends in (True, False):
                with subprocess.Popen(command, env=env, pass_fds=[listening.fileno()]) as served:
                    try:
                        httpx.get(livez, timeout=HANG).raise_for_status()
                        if ends:
                            silent.connect(address)
                            httpx.get(livez, timeout=HANG).raise_for_status()  # accepted after it
                        else:
                            silent.sendall(b"GET /livez HTTP/1.1\r\nHost: shop.example\r\n\r\n")
                            answer = silent.recv(1000)
                    finally:
                        served.terminate()

    assert answer.startswith(b"HTTP/1.1 200")


def test_no_worker_outlives_its_main_process(web: Web) -> None:
    [worker] = _workers(web)

    web.kill()

    wait_until(lambda: not worker.is_running(), what="the end of the worker")


def test_a_worker_that_dies_again_and_again_is_replaced_each_time(web: Web) -> None:
    for _ in range(3):  # Granian itself would end at the second death within 5.5 seconds
        [worker] = _workers(web)
        worker.kill()
        wait_until(lambda old=worker: [*_workers(web)] not in ([], [old]), what="another worker")

    assert web.order().status_code == 202
    assert web.running()


def _workers(web: Web) -> list[psutil.Process]:
    return [each for each in psutil.Process(web.pid).children() if each.is_running()]


def test_a_port_that_is_taken_is_named(web: Web, tmp_path: Path) -> None:
    second = forked.run("tidings", "web", "--port", str(web.port), cwd=tmp_path, env=web.env)

    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1, port {web.port}: " in second.stderr
    assert "Traceback" not in second.stderr


def test_an_empty_host_is_not_taken_for_every_address() -> None:
    with pytest.raises(CannotListen, match="the host is empty"):
        listen("", 0)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")
def test_the_address_of_all_listens_on_ipv4_as_well(tmp_path: Path) -> None:
    served = Web(tmp_path)
    database = Database(served.database_url)
    migrate(database)
    database.close()
    served.command += ["--host", "::"]
    served.launch()
    wait_until(served.listens, what="the web to listen on IPv4")

    for host in ("127.0.0.1", "[::1]"):
        assert httpx.get(f"http://{host}:{served.port}/livez", timeout=HANG).status_code == 200
    served.stop()


@pytest.mark.parametrize("port", ["8_000", "\uff18\uff10\uff18\uff10"])
def test_a_port_is_written_in_plain_digits(port: str, tmp_path: Path) -> None:
    told = forked.run("tidings", "web", "--port", port, cwd=tmp_path, env=os.environ)

    assert told.returncode == 2
    assert "write a whole number in digits" in told.stderr
