"""A process that has imported the modules it was told, and forks at each request to run a program.

A fork costs milliseconds, the imports of a worker a second and a half of CPU time. The child is as
a command would have started it: it has the environment, the folder, the streams and the arguments
of the request, a session of its own, default signals, and the end of an ordinary interpreter.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidings.prctl import end_with_parent

LARGEST = 1 << 18  # bytes of a request; most of it is the environment


class Server:
    """The loop that forks, and answers with the id of each child and later with its exit code."""

    def __init__(self, requests: socket.socket) -> None:
        self.requests = requests
        self.children: dict[int, int] = {}
        self.woken, self.wake = os.pipe()
        for each in (self.woken, self.wake):
            os.set_blocking(each, False)
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> dict[str, Any]:
        """Fork at each request; return the request in the child, and never in the server."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.requests, selectors.EVENT_READ)
            selector.register(self.woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == self.woken:
                        os.read(self.woken, 4096)
                        self.reap()
                    elif (request := self.fork()) is not None:
                        return request

    def fork(self) -> dict[str, Any] | None:
        """Answer one request. Return it in the child, `None` in the server."""
        message, fds, *_ = socket.recv_fds(self.requests, LARGEST, 4)
        if not message:
            raise SystemExit  # the tests have ended
        answer, *streams = fds
        server = os.getpid()
        # A signal must not reach the child while it still has the server's wake-up pipe.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        pid = os.fork()
        if pid == 0:
            self.become_child(answer, streams, server)
            request: dict[str, Any] = json.loads(message)
            return request
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        self.children[pid] = answer
        os.write(answer, f"{pid}\n".encode())
        for each in streams:
            os.close(each)
        return None

    def become_child(self, answer: int, streams: list[int], server: int) -> None:
        """Take the streams and leave everything else of the server behind."""
        os.setsid()
        end_with_parent(server)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        self.requests.close()
        for each in (answer, *streams, self.woken, self.wake, *self.children.values()):
            os.close(each)

    def reap(self) -> None:
        """Answer with the exit code of each child that has ended."""
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            answer = self.children.pop(pid)
            with suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(answer, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os.close(answer)


def as_read(text: str) -> str:
    """Return what an interpreter in this locale makes of UTF-8."""
    return os.fsdecode(text.encode(errors="surrogateescape"))


def run(words: list[str], env: dict[str, str], folder: str) -> None:
    """Run `python -m` with these words."""
    os.environ.clear()
    os.environ.update({as_read(name): as_read(value) for name, value in env.items()})
    time.tzset()
    os.chdir(folder)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    sys.path[:1] = [folder, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [as_read(each) for each in words]
    sys.modules.pop(f"{words[0]}.__main__", None)  # runpy warns of one that is imported
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def main() -> None:
    """Import the modules that the arguments name, and serve the socket that the first one names."""
    _, requests, *modules = sys.argv
    sys.argv = sys.argv[:1]
    for name in modules:
        importlib.import_module(name)
    threads = list(Path("/proc/self/task").iterdir())
    assert len(threads) == 1, "a child would lack the other threads of the server"
    gc.collect()
    gc.freeze()
    run(**Server(socket.socket(fileno=int(requests))).serve())


if __name__ == "__main__":
    main()
