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


class BufferedRequests:
    """A WSGI middleware that reads each body, of `max_body` bytes at most, and then calls `app`.

    A longer body is left to the application, which refuses it.
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
            environ["wsgi.input"] = BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))


def init_app(app: Flask) -> None:
    """Buffer the requests of `app`."""
    app.wsgi_app = BufferedRequests(app.wsgi_app, max_body=settings().max_body)  # type: ignore[method-assign]
