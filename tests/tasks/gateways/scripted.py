"""A mail server that answers each command as a test says, also with what no real one sends."""

import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

USUAL = {"greeting": "220 here", "EHLO": "250 here", "HELO": "250 here", "DATA": "354 go on"}
EXTENSIONS = {
    "plain": {"EHLO": "250 here"},
    "pipelining": {"EHLO": "250-here\r\n250 PIPELINING"},
    "chunking": {"EHLO": "250-here\r\n250-PIPELINING\r\n250 CHUNKING"},
}
HANG_UP = "<hang up>"  # after the answer before it, if there is one
SILENCE = "<silence>"  # until the client hangs up
LATE = "<late>"  # the answer after it comes so much later
DELAY = 2.5  # seconds


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        answers: dict[str, str] = self.server.answers  # type: ignore[attr-defined]
        seen: Counter[str] = self.server.seen  # type: ignore[attr-defined]
        if not self._reply(answers.get("greeting", USUAL["greeting"])):
            return
        text = False
        while line := self.rfile.readline():
            if text and line != b".\r\n":
                continue
            verb = "." if text else line.split()[0].decode().upper()
            if verb == "BDAT":
                verb, _ = ".", self.rfile.read(int(line.split()[1]))
            seen[verb] += 1
            text = verb == "DATA" and answers.get("DATA", "3").startswith("3")
            if not self._reply(answers.get(verb, USUAL.get(verb, "250 fine"))):
                return
            if verb == "QUIT":
                return

    def _reply(self, answer: str) -> bool:
        """Give an answer; return false if the connection ends with it."""
        if answer == SILENCE:
            self.rfile.read()
            return False
        if answer.startswith(LATE):
            self.server.over.wait(DELAY)  # type: ignore[attr-defined]
        line, hang_up, _ = answer.removeprefix(LATE).partition(HANG_UP)
        if line:
            self.wfile.write(f"{line}\r\n".encode())
        return not hang_up


@contextmanager
def scripted_server(answers: dict[str, str], seen: Counter[str] | None = None) -> Iterator[str]:
    """Run the server and yield its address. `.` is the reply to the text, a chunk too.

    `seen` counts the commands and texts that come.
    """
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.answers, server.over = answers, threading.Event()  # type: ignore[attr-defined]
        server.seen = Counter() if seen is None else seen  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"smtp://127.0.0.1:{server.server_address[1]}"
        finally:
            server.over.set()  # type: ignore[attr-defined]
            server.shutdown()
            thread.join()
