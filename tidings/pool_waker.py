"""Frees requests that Granian's pool of threads leaves waiting behind a slow body.

Granian (2.7.9 to 2.8.9) starts a thread when more requests wait than threads are idle. A thread
that has just taken a request counts as idle for another moment. A request that comes in this moment
gets no thread: it waits until another request comes or the one before it is answered, which is as
long as its sender likes. So after each slow body another request comes, from the process itself.
"""

import secrets
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread, get_ident
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SLOW = 0.05  # seconds after which a body is slow
TRIES = 64  # a connection may come to another worker of the same socket
TIMEOUT = 1.0  # seconds


class PoolWaker:
    """A WSGI middleware that sends one request to its own process after each slow body.

    `address` is that of the listening socket: host and port. A host like `0.0.0.0`, which stands
    for all addresses of the machine, is connected to as loopback by the kernel.
    """

    def __init__(self, app: "WSGIApplication", address: tuple[str, int]) -> None:
        self._app, self._address = app, address
        self._token = secrets.token_hex()
        self._reading: dict[int, float] = {}  # by thread: since when it reads a body
        self._began, self._arrived = Event(), Event()
        Thread(target=self._watch, name="pool-waker", daemon=True).start()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        token = environ.get("HTTP_TIDINGS_WAKE", "")
        if token and secrets.compare_digest(token.encode(), self._token.encode()):
            self._arrived.set()
            start_response("204 No Content", [])
            return [b""]
        environ["wsgi.input"] = _WatchedBody(environ["wsgi.input"], self)
        return self._app(environ, start_response)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Note that this thread reads a body."""
        self._reading[get_ident()] = time.monotonic()
        self._began.set()
        try:
            yield
        finally:
            del self._reading[get_ident()]

    def _watch(self) -> None:
        watched = 0.0
        while True:
            self._began.wait()
            self._began.clear()
            until = time.monotonic()
            time.sleep(SLOW)
            if any(watched < since <= until for since in list(self._reading.values())):
                self._wake()
            watched = until

    def _wake(self) -> None:
        self._arrived.clear()
        head = f"GET /livez HTTP/1.1\r\nHost: localhost\r\nTidings-Wake: {self._token}\r\n\r\n"
        for _ in range(TRIES):
            with suppress(OSError), socket.create_connection(self._address, TIMEOUT) as connection:
                connection.sendall(head.encode())
                connection.recv(1)
            if self._arrived.is_set():
                return


class _WatchedBody:
    """A body whose reads are noted."""

    def __init__(self, body: Any, waker: PoolWaker) -> None:
        self._body, self._waker = body, waker

    def read(self, *size: int) -> bytes:
        with self._waker.reading():
            return self._body.read(*size)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)
