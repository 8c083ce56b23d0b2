"""A mail server that answers each command as a test says, also with what no real one sends."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

USUAL = {"greeting": "220 here", "EHLO": "250 here", "HELO": "250 here", "DATA": "354 go on"}
HANG_UP = ""


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        answers: dict[str, str] = self.server.answers  # type: ignore[attr-defined]
        if not self._reply(answers.get("greeting", USUAL["greeting"])):
            return
        text = False
        while line := self.rfile.readline():
            if text and line != b".\r\n":
                continue
            verb = "." if text else line.split()[0].decode().upper()
            text = verb == "DATA" and answers.get("DATA", "3").startswith("3")
            if not self._reply(answers.get(verb, USUAL.get(verb, "250 fine"))):
                return
            if verb == "QUIT":
                return

    def _reply(self, line: str) -> bool:
        if line == HANG_UP:
            return False
        self.wfile.write(f"{line}\r\n".encode())
        return True


@contextmanager
def scripted_server(answers: dict[str, str]) -> Iterator[str]:
    """Run the server and yield its address. `.` is the reply to the text; `HANG_UP` closes."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.answers = answers  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"smtp://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
