"""A receiver of webhooks: a real HTTP server on this machine that stores what it gets."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """The messages of a server; `status` and `headers` are its answers, `hangs` withholds them."""

    def __init__(self, server: ThreadingHTTPServer, scheme: str) -> None:
        self.requests: list[tuple[str, Message, bytes]] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        self.hangs = threading.Event()
        self.url = f"{scheme}://127.0.0.1:{server.server_port}/hook"
        self.port = server.server_port


@contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver, over TLS if a context is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests.append((self.path, self.headers, body))
            if receiver.hangs.is_set():
                return  # without an answer; the server closes
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver = Receiver(server, "https" if context else "http")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
