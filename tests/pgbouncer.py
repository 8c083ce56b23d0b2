"""A private PgBouncer in front of a PostgreSQL server."""

import os
import shutil
import socket
from pathlib import Path

from sqlalchemy import URL

from tests.servers import Process, free_port, missing, wait_until

CONFIGURATION = """
[databases]
* = host={folder} user=postgres {database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
server_lifetime = 3600
{more}
"""


class PgBouncer(Process):
    """A pooler that gives each transaction any session of the server that is free."""

    def __init__(
        self,
        home: Path,
        server: URL,
        *,
        mode: str = "transaction",
        more: str = "",
        database: str = "",
    ) -> None:
        program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
        if program is None:
            missing("PgBouncer (Debian's package pgbouncer)")
        home.mkdir()
        home.chmod(0o777)  # PgBouncer does not run as root
        self.port, folder = free_port(), str(server.query["host"])
        configuration = home / "pgbouncer.ini"
        configuration.write_text(
            CONFIGURATION.format(
                folder=folder,
                listen_port=self.port,
                more=more,
                database=database,
            )
        )
        user = ["-u", Path(folder).owner()] if os.getuid() == 0 else []
        super().__init__([program, *user, str(configuration)], home)

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.launch()
        wait_until(self._listens, what=f"PgBouncer on port {self.port}")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def url(self, database: str) -> str:
        """Return the address of a database through the pooler."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"
