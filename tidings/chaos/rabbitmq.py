"""A private RabbitMQ node from Debian's package: own ports, own cookie, own epmd, files in one folder, nothing of the system's touched."""

import base64
import http.client
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from events import TidingsError
from tidings.chaos.servers import Process, free_port, until

SERVER = Path(
    "/usr/lib/rabbitmq/bin/rabbitmq-server"
)  # Debian's wrapper in sbin would change to the system's user and folders
_PATIENCE = 60.0  # seconds; it starts a virtual machine and reads its log


class RabbitMQTrouble(TidingsError):
    """The node is not there or does not do what it was asked."""


def installed() -> bool:
    """Whether Debian's package is here."""
    return SERVER.exists() and shutil.which("epmd") is not None


class RabbitMQ(Process):
    """One node with its management interface, so that each user can have a virtual host of its own."""

    def __init__(self, home: Path) -> None:
        self.port, self.management, epmd, distribution = (free_port() for _ in range(4))
        env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_NODENAME": f"tidings-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_LOG_BASE": str(home),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
        }
        super().__init__([str(SERVER)], home, env)
        self.epmd = Process(["epmd", "-address", "127.0.0.1", "-port", str(epmd)], home, env)
        self._write_files()

    def _write_files(self) -> None:
        cookie = self.home / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(20))
        cookie.chmod(0o400)
        (self.home / "plugins").write_text("[rabbitmq_management].\n")
        listeners = f"listeners.tcp.1 = 127.0.0.1:{self.port}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.management}\n"
        limits = "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 1GB\n"
        (self.home / "rabbitmq.conf").write_text(listeners + limits)

    def start(self) -> None:
        """Start the node and wait until it takes connections. It begins with what its files hold. Raises `RabbitMQTrouble`."""
        if not installed():
            raise RabbitMQTrouble(
                "RabbitMQ is not installed; on Debian and Ubuntu: apt-get install rabbitmq-server"
            )
        if not self.epmd.running():
            self.epmd.launch()
        self.launch()
        if (
            not until(lambda: not self.running() or self.answers(), within=_PATIENCE)
            or not self.running()
        ):
            raise RabbitMQTrouble(f"RabbitMQ did not start:\n{self.log()[-3000:]}")

    def stop(self, within: float = 20.0) -> None:
        """Stop the node and the port mapper that was started for it."""
        super().stop(within)
        self.epmd.kill()

    def answers(self) -> bool:
        """Whether the node says of itself that it takes AMQP connections."""
        try:
            return (
                self._ask("GET", f"/api/health/checks/port-listener/{self.port}")[0]
                == http.client.OK
            )
        except (OSError, http.client.HTTPException):
            return False

    def url(self, host: str = "/") -> str:
        """The address of a virtual host as a broker."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{quote(host, safe='')}"

    def add_host(self, name: str) -> str:
        """Make a virtual host and return its address as a broker."""
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        made = [
            self._ask("PUT", f"/api/vhosts/{name}"),
            self._ask("PUT", f"/api/permissions/{name}/guest", everything),
        ]
        if not {status for status, _ in made} <= {http.client.CREATED, http.client.NO_CONTENT}:
            raise RabbitMQTrouble(f"RabbitMQ answered {made}")
        return self.url(name)

    def drop_host(self, name: str) -> None:
        """Remove a virtual host and all it holds."""
        self._ask("DELETE", f"/api/vhosts/{name}")

    def empty(self) -> None:
        """Throw away what lies ready on every queue of the first virtual host."""
        _, queues = self._ask("GET", "/api/queues/%2F?disable_stats=true&enable_queue_totals=true")
        for queue in queues or ():
            self._ask("DELETE", f"/api/queues/%2F/{quote(queue['name'], safe='')}/contents")

    def put(self, queue: str, body: bytes, headers: dict[str, Any]) -> None:
        """Put a message of any shape on a queue of the first virtual host."""
        properties = {
            "headers": headers,
            "content_type": "application/json",
            "content_encoding": "utf-8",
        }
        message = {
            "properties": properties,
            "routing_key": queue,
            "payload": base64.b64encode(body).decode(),
            "payload_encoding": "base64",
        }
        self._ask("POST", "/api/exchanges/%2F/amq.default/publish", message)

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        login = base64.b64encode(b"guest:guest").decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.management, timeout=10)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text.startswith((b"{", b"[")) else None
        finally:
            connection.close()
