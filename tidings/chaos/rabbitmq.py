"""A private RabbitMQ node from Debian's package: own ports, own cookie, own epmd, own files."""

import base64
import os
import secrets
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from events import TidingsError
from tidings.chaos.servers import Process, until
from tidings.free_port import free_port
from tidings.http_client import open_client

# The wrapper in /usr/sbin would change to the package's user and folders.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
SOCKET_TIMEOUT = 10.0  # seconds
STARTUP_TIMEOUT = 60.0  # seconds
_LOGIN = ("guest", "guest")


class RabbitMQTrouble(TidingsError):
    """The node is missing or does not obey."""


def installed() -> bool:
    """Return true if Debian's package is installed."""
    return SERVER.exists() and shutil.which("epmd") is not None


class RabbitMQ(Process):
    """A node with its management API, which makes a virtual host for each user."""

    def __init__(self, home: Path) -> None:
        self.port, self.management, epmd, distribution = (free_port() for _ in range(4))
        env = _environment(home, self.port, epmd=epmd, distribution=distribution)
        super().__init__([str(SERVER)], home, env)
        self.epmd = Process(["epmd", "-address", "127.0.0.1", "-port", str(epmd)], home, env)
        self._client = open_client(
            f"http://127.0.0.1:{self.management}", timeout=SOCKET_TIMEOUT, auth=_LOGIN
        )
        self._write_files()

    def _write_files(self) -> None:
        cookie = self.home / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(20))
        cookie.chmod(0o400)
        (self.home / "plugins").write_text("[rabbitmq_management].\n")
        (self.home / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "management.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {self.management}\n"
            "disk_free_limit.absolute = 50MB\n"
            "vm_memory_high_watermark.absolute = 1GB\n"
        )

    def start(self) -> None:
        """Start the node with the data of its folder. Raises `RabbitMQTrouble`."""
        if not installed():
            raise RabbitMQTrouble(
                "RabbitMQ is not installed; on Debian and Ubuntu: apt-get install rabbitmq-server"
            )
        if not self.epmd.running():
            self.epmd.launch()
        self.launch()
        until(lambda: not self.running() or self.answers(), within=STARTUP_TIMEOUT)
        if not self.answers():
            raise RabbitMQTrouble(f"RabbitMQ did not start:\n{self.log()[-3000:]}")

    def stop(self, within: float = 20.0) -> None:
        """Stop the node and its epmd."""
        super().stop(within)
        self.epmd.kill()

    def answers(self) -> bool:
        """Return true if the node reports that it accepts AMQP connections."""
        try:
            response = self._request("GET", f"/api/health/checks/port-listener/{self.port}")
        except httpx.HTTPError:
            return False
        return response.status_code == httpx.codes.OK

    def url(self, host: str = "/") -> str:
        """Return the broker URL of a virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{quote(host, safe='')}"

    def add_host(self, name: str) -> str:
        """Create a virtual host and return its broker URL. Raises `RabbitMQTrouble`."""
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        for response in (
            self._request("PUT", f"/api/vhosts/{name}"),
            self._request("PUT", f"/api/permissions/{name}/guest", everything),
        ):
            if not response.is_success:
                raise RabbitMQTrouble(
                    f"{response.request.url} answered {response.status_code}: {response.text}"
                )
        return self.url(name)

    def empty(self) -> None:
        """Delete the ready messages of every queue of the default virtual host."""
        path = "/api/queues/%2F?disable_stats=true&enable_queue_totals=true"
        response = self._request("GET", path)
        for queue in response.json() if response.is_success else ():
            self._request("DELETE", f"/api/queues/%2F/{quote(queue['name'], safe='')}/contents")

    def has_stored_queues(self, host: str = "/") -> bool:
        """Tell whether the node's files know every quorum queue of a virtual host.

        RabbitMQ 3.10 writes them within a second of the declaration. Killed before, it keeps the
        queue, without a leader.
        """
        path = f"/api/queues/{quote(host, safe='')}?disable_stats=true"
        found = [
            queue["name"]
            for queue in self._request("GET", path).raise_for_status().json()
            if queue["type"] == "quorum"
        ]
        prefix = quote(host, safe="")
        files = [
            file.read_bytes()
            for name in ("names.dets", "meta.dets")
            for file in self.home.glob(f"data/*/quorum/*/{name}")
        ]
        return len(files) == 2 and all(
            f"{prefix}_{queue}".encode() in content for queue in found for content in files
        )

    def put(self, queue: str, body: bytes, headers: dict[str, Any]) -> None:
        """Put a message of any shape on a queue of the default virtual host.

        Raises `httpx.HTTPError` if the broker did not take it.
        """
        message = {
            "properties": {
                "headers": headers,
                "content_type": "application/json",
                "content_encoding": "utf-8",
            },
            "routing_key": queue,
            "payload": base64.b64encode(body).decode(),
            "payload_encoding": "base64",
        }
        path = "/api/exchanges/%2F/amq.default/publish"
        response = self._request("POST", path, message).raise_for_status()
        if not response.json()["routed"]:  # no such queue, or none that has a leader
            raise httpx.HTTPError(f"{queue} did not take the message")

    def _request(self, method: str, path: str, body: object = None) -> httpx.Response:
        # The API requires this header also where there is no body.
        headers = {"Content-Type": "application/json"}
        return self._client.request(method, path, json=body, headers=headers)


def _environment(home: Path, port: int, *, epmd: int, distribution: int) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_NODENAME": f"tidings-{port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        "RABBITMQ_LOG_BASE": str(home),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2"
        ),
    }
