"""The web server: Granian, which parses HTTP outside Python and waits for slow heads by itself.

A slow body keeps one of many threads, and `web.buffering` none of the few turns.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # type: ignore[attr-defined]  # its `__all__` is missing
from granian.server.mp import MPServer

import web
from tidings.prctl import end_with_parent
from web.metrics import DIRECTORY

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

THREADS = 1024  # slow bodies at a time in one process; a thread exists only while it is used
BACKLOG = 1024
STOP_TIMEOUT = 15  # seconds for the requests that are being answered
HEAD_TIMEOUT = 10_000  # milliseconds for the head of a request


class WebServer(MPServer):
    """The web on `address` and `port`, or on a listening socket that this process inherited."""

    def __init__(
        self, *, address: str, port: int, workers: int = 1, listening: int | None = None
    ) -> None:
        super().__init__(
            "web",
            address=address,
            port=port,
            interface=Interfaces.WSGI,
            workers=workers,
            blocking_threads=THREADS,
            backlog=BACKLOG,
            backpressure=THREADS,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=HEAD_TIMEOUT),
            workers_kill_timeout=STOP_TIMEOUT,
            respawn_failed_workers=True,
            log_level=LogLevels.error,
            process_name="tidings: tidings web",
        )
        self._listening = listening

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM."""
        parent = os.getpid()

        def load() -> "WSGIApplication":
            end_with_parent(parent)
            return web.create_app()

        with self._folder_of_counters():
            self.serve(target_loader=load, wrap_loader=False)

    @contextmanager
    def _folder_of_counters(self) -> Iterator[None]:
        """Give several workers a folder for the counters that they share, unless one is set."""
        if self.workers == 1 or os.environ.get(DIRECTORY):
            yield
            return
        with TemporaryDirectory(prefix="tidings-metrics-") as folder:
            os.environ[DIRECTORY] = folder
            yield

    def _init_shared_socket(self) -> None:
        server: Any = self  # its attributes have no types
        if self._listening is None:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]
            return
        holder: Any = SocketHolder
        server._sfd = self._listening
        server._shd = holder(self._listening, False, BACKLOG)
        server._sso = socket.socket(fileno=self._listening)
