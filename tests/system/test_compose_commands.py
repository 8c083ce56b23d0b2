"""The commands and health checks of docker-compose.yml handle an order, then all of them stop."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from sqlalchemy import make_url

from tests.compose import OURS, example, services
from tests.servers import HANG, Process, free_port, wait_until
from tidings.http_client import open_client

pytestmark = [pytest.mark.system, pytest.mark.slow]
BIN = Path(sys.executable).parent
ORDER = {
    "customer": {"name": "Ada Lovelace", "email": "ada@example.com"},
    "shipping_address": {
        "line1": "12 St James's Square",
        "city": "London",
        "postcode": "SW1Y 4JH",
        "country": "GB",
    },
    "payment_token": "tok_ok",
}


class Inbox(Message):
    """A mail server that keeps the subjects of its mails."""

    def __init__(self) -> None:
        super().__init__()
        self.subjects: list[str] = []

    def handle_message(self, message: Any) -> None:
        self.subjects.append(str(message["Subject"]))


@dataclass
class Containers:
    """The services of the Tidings image as plain processes of this machine."""

    services: dict[str, Any]
    home: Path
    port: int
    flower_port: int
    database_url: str

    def here(self, word: str) -> str:
        """Return a word of a command with this machine's addresses for the container's."""
        moved = {
            "0.0.0.0": "127.0.0.1",
            ":8000": f":{self.port}",
            "=8000": f"={self.port}",
            "=5555": f"={self.flower_port}",
            ":5555": f":{self.flower_port}",
        }
        for there, local in moved.items():
            word = word.replace(there, local)
        return word

    def command(self, words: list[str]) -> list[str]:
        program, *arguments = (self.here(word) for word in words)
        return [str(BIN / program), *arguments]

    def environment(self, name: str) -> dict[str, str]:
        # Compose fills in variables after it has read the YAML: nothing is then an empty text.
        given = {
            key: "" if value is None else str(value)
            for key, value in self.services[name]["environment"].items()
        }
        for variable in given.keys() & {"DATABASE_URL", "DATABASE_OWNER_URL"}:
            given[variable] = self.database(given[variable])
        return {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(self.home), **given}

    def database(self, url: str) -> str:
        """Return the address for its role on this machine; `tidings` owns the tables there."""
        there, here = make_url(url), make_url(self.database_url)
        if there.username != "tidings":
            here = here.set(username=there.username, password=there.password)
        return here.render_as_string(hide_password=False)

    def process(self, name: str) -> Process:
        home = self.home / name
        home.mkdir()
        return Process(self.command(self.services[name]["command"]), home, self.environment(name))

    def healthy(self, name: str) -> bool:
        """Return true if the health check of the service succeeds."""
        words = self.services[name]["healthcheck"]["test"][1:]
        return (
            subprocess.run(
                self.command(words),
                env=self.environment(name),
                cwd=self.home,
                capture_output=True,
                check=False,
            ).returncode
            == 0
        )

    def ask(self, path: str, body: object = None) -> dict[str, Any]:
        method = "GET" if body is None else "POST"
        with open_client(f"http://127.0.0.1:{self.port}", timeout=HANG) as client:
            response = client.request(method, path, json=body)
        found: dict[str, Any] = response.raise_for_status().json()
        return found


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, str]]:
    """A mail server and its address."""
    server, inbox = free_port(), Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=server)
    controller.start()
    yield inbox, f"smtp://127.0.0.1:{server}"
    controller.stop()


@pytest.fixture
def containers(
    tmp_path: Path, postgres_url: str, any_broker: str, inbox: tuple[Inbox, str]
) -> Containers:
    """The services of the compose file but database and broker, not yet started."""
    found = services(**{**example(), "BROKER_URL": any_broker, "SMTP_URL": inbox[1]})
    ours = {name: service for name, service in found.items() if service["image"] == OURS}
    return Containers(ours, tmp_path, free_port(), free_port(), postgres_url)


def test_an_order_goes_all_the_way_through_what_the_compose_file_starts(
    containers: Containers, inbox: tuple[Inbox, str]
):
    migration = containers.process("migrate")
    migration.launch()
    wait_until(lambda: not migration.running(), what="the end of the migration")
    assert migration.exit_code == 0, migration.log()
    processes = {
        name: containers.process(name) for name in containers.services if name != "migrate"
    }
    try:
        for process in processes.values():
            process.launch()
        wait_until(lambda: containers.healthy("web"), what="a healthy web service")
        _wait_for_shipping(containers)
        wait_until(lambda: len(inbox[0].subjects) >= 2, what="mails about the order")
        assert [
            name for name in ("web", "relay", "payment", "flower") if not containers.healthy(name)
        ] == []  # the workers' are the same
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(within=HANG)
    assert {
        name: process.exit_code for name, process in processes.items() if process.exit_code != 0
    } == {}


def _wait_for_shipping(containers: Containers) -> None:
    """Place an order and wait until it is shipped."""
    products = containers.ask("/api/v1/products")["products"]
    sku = next(product["sku"] for product in products if product["available"])
    order = containers.ask("/api/v1/orders", {**ORDER, "items": [{"sku": sku, "quantity": 1}]})
    path = f"/api/v1/orders/{order['id']}?token={order['token']}"
    wait_until(
        lambda: containers.ask(path)["status"] == "shipped",
        within=HANG,
        what="the shipping of the order",
    )
