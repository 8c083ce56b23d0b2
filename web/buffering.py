"""Bodies are read before a request takes a turn, so that slow clients keep nobody waiting.

The server's threads are many, and wait for slow bodies. Requests whose body is there take turns:
the interpreter and the database are best with few at a time.
"""

from collections.abc import Iterable
from io import BytesIO
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

from flask import Flask

from web.settings import settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TURNS = 8  # requests at a time
MAX_DISCARDED = 1024 * 1024  # bytes of a body that is refused


class BufferedRequests:
    """A WSGI middleware that reads each body, of `max_body` bytes at most, and then calls `app`.

    A longer body is left to the application, which refuses it. It is read and thrown away first, up
    to `MAX_DISCARDED` bytes: a proxy that still writes when the connection ends answers 502 instead
    of the refusal.
    """

    def __init__(self, app: "WSGIApplication", *, max_body: int, turns: int = TURNS) -> None:
        self._app, self._max_body = app, max_body
        self._turns = BoundedSemaphore(turns)

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request."""
        self._buffer(environ)
        with self._turns:
            chunks: Any = self._app(environ, start_response)
            try:
                return [b"".join(chunks)]
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()

    def _buffer(self, environ: "WSGIEnvironment") -> None:
        length = environ.get("CONTENT_LENGTH") or ""
        chunked = not length and environ.get("wsgi.input_terminated", False)
        if chunked or (length.isdecimal() and 0 < int(length) <= self._max_body):
            body = environ["wsgi.input"].read(self._max_body + 1 if chunked else int(length))
            if len(body) > self._max_body:
                _discard(environ["wsgi.input"])
            environ["wsgi.input"] = BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        elif length.isdecimal() and int(length) <= MAX_DISCARDED:
            _discard(environ["wsgi.input"])


def _discard(body: Any) -> None:
    left = MAX_DISCARDED
    while left > 0 and (chunk := body.read(64 * 1024)):
        left -= len(chunk)


def init_app(app: Flask) -> None:
    """Buffer the requests of `app`."""
    buffered = BufferedRequests(app.wsgi_app, max_body=settings().max_body)
    app.wsgi_app = buffered  # type: ignore[method-assign]
