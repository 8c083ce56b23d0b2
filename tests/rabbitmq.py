"""A private RabbitMQ node from Debian's package: own ports, own cookie, own epmd, files in one folder, nothing of the system's touched."""

import base64
import http.client
import os
import secrets
import shutil
from pathlib import Path
from urllib.parse import quote

from tests.servers import Process, free_port, wait_until

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's wrapper in sbin would change to the system's user and folders


def installed() -> bool:
    """Whether Debian's package is here."""
    return SERVER.exists() and shutil.which("epmd") is not None


class RabbitMQ(Process):
    """One node with its management interface, so that each test can have a virtual host of its own."""

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
        """Start the node and wait until it takes connections. It begins with what its files hold."""
        if not self.epmd.running():
            self.epmd.launch()
        self.launch()
        wait_until(lambda: not self.running() or self.answers(), within=60, what="an answer of RabbitMQ")
        assert self.running(), f"RabbitMQ ended:\n{self.log()[-3000:]}"

    def stop(self, within: float = 20.0) -> None:
        """Stop the node and the port mapper that was started for it."""
        super().stop(within)
        self.epmd.kill()

    def answers(self) -> bool:
        """Whether the node says of itself that it takes AMQP connections."""
        try:
            return self._ask("GET", f"/api/health/checks/port-listener/{self.port}") == http.client.OK
        except (OSError, http.client.HTTPException):
            return False

    def add_host(self, name: str) -> str:
        """Make a virtual host and return its address as a broker."""
        everything = b'{"configure":".*","write":".*","read":".*"}'
        made = {self._ask("PUT", f"/api/vhosts/{name}"), self._ask("PUT", f"/api/permissions/{name}/guest", everything)}
        assert made <= {http.client.CREATED, http.client.NO_CONTENT}, f"RabbitMQ answered {made}"
        return f"amqp://guest:guest@127.0.0.1:{self.port}/{quote(name)}"

    def drop_host(self, name: str) -> None:
        """Remove a virtual host and all it holds."""
        self._ask("DELETE", f"/api/vhosts/{name}")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> int:
        login = base64.b64encode(b"guest:guest").decode()
        connection = http.client.HTTPConnection("127.0.0.1", self.management, timeout=10)
        try:
            connection.request(method, path, body, {"Authorization": f"Basic {login}", "Content-Type": "application/json"})
            return connection.getresponse().status
        finally:
            connection.close()
