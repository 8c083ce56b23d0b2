"""The web server: Granian, which parses HTTP outside Python and waits for slow heads by itself.

A slow body keeps one of many threads, and none of the few turns (`web.buffering`); a request that
comes just after it is not forgotten (`tidings.pool_waker`).
"""

import multiprocessing
import os
import socket
import time
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
from events import TidingsError
from tidings.pool_waker import PoolWaker
from tidings.prctl import end_with_parent
from web.metrics import DIRECTORY

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

THREADS = 1024  # slow bodies at a time in one process; a thread exists only while it is used
BACKLOG = 1024
STOP_TIMEOUT = 15  # seconds for the requests that are being answered
RESPAWN_DELAY = 0.2  # seconds
HEAD_TIMEOUT = 10_000  # milliseconds for the head of a request


class CannotListen(TidingsError):
    """An address that another program has, or that is none of this machine's."""


class WebServer(MPServer):
    """The web on a listening socket, which may be inherited."""

    def __init__(self, listening: socket.socket, *, workers: int = 1) -> None:
        super().__init__(
            "web",
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
        _defer_silent_connections(listening)

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM."""
        multiprocessing.set_start_method("fork", force=True)  # for the socket, and for `load`
        parent = os.getpid()

        def load() -> "WSGIApplication":
            if os.getpid() != parent:
                end_with_parent(parent)
            return PoolWaker(web.create_app(), self._listening.getsockname()[:2])

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

    def _respawn_workers(self, *args: Any, **options: Any) -> None:
        """Replace a worker that died, however soon after the one before it.

        Granian gives up at the second death within 5.5 seconds, and takes the other workers along.
        """
        time.sleep(RESPAWN_DELAY)
        super()._respawn_workers(*args, **options)
        server: Any = self
        server.respawned_wrks.clear()

    def _init_shared_socket(self) -> None:
        """Listen once for all workers: while one is replaced, connections wait for the next."""
        server: Any = self  # its attributes have no types
        holder: Any = SocketHolder
        server._sso = self._listening
        server._sfd = self._listening.fileno()
        server._shd = holder(server._sfd, False, BACKLOG)


class SupervisedWebServer(WebServer):
    """The web with one worker, in the process itself, which a supervisor starts again.

    A process that only waits for its worker would have 13 MB of its own (docs/performance.md).
    """

    def _serve(self, spawn_target: Any, target_loader: Any) -> None:
        self._init_shared_socket()
        server: Any = self
        server._spawn_worker(0, spawn_target, target_loader).inner.run()


def _defer_silent_connections(listening: socket.socket) -> None:
    """Leave a connection with the kernel until its request begins to arrive (Linux only).

    A web that ends closes the connections that it has accepted and that have sent nothing yet:
    of some 10,000 orders of six clients, five in 4 of 34 restarts. Unaccepted, they wait for the
    next web.
    """
    if option := getattr(socket, "TCP_DEFER_ACCEPT", None):
        listening.setsockopt(socket.IPPROTO_TCP, option, HEAD_TIMEOUT // 1000)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; `::` means IPv4 as well. Raises `CannotListen`."""
    if not host:  # the system would take it for every address
        raise CannotListen("the host is empty; name an address, such as 127.0.0.1")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server(
            (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both
        )
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotListen(f"cannot listen on {host}, port {port}: {reason}") from None
