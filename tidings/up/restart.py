"""The restart of `up` with changed code, on the request of `tidings restart`.

All processes are forks of the supervisor and have the code that it imported. So the supervisor
stops them and executes itself anew, as the same process in the same terminal. It keeps the web's
listening socket, so that clients wait instead of being refused, and the connection of the request,
so that the answer comes when everything is ready.

The request comes through a unix socket in a folder that only the owner of `up` can enter.
"""

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

from events import TidingsError
from tidings.up.data_dir import DataDir

_VARIABLE = "TIDINGS_UP_HANDOVER"  # the descriptors and the port, from one program to the next
_READY = "ready: "


class NotRestarted(TidingsError):
    """No `tidings up` has restarted."""


@dataclass(frozen=True)
class Handover:
    """The parts of an `up` that its next program keeps."""

    web: socket.socket
    flower_port: int
    request: socket.socket


@contextmanager
def listening(data_dir: DataDir) -> Iterator[socket.socket]:
    """Open the socket of the requests. The caller must hold the lock of the data directory."""
    path = data_dir.restart_socket
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as requests:
        requests.bind(str(path))
        requests.listen()
        yield requests
        path.unlink(missing_ok=True)


def tell(request: socket.socket, text: str) -> None:
    """Write a line to the one who requested the restart, who may have left."""
    with suppress(OSError):
        request.sendall(f"{text}\n".encode(), socket.MSG_DONTWAIT)


def tell_ready(request: socket.socket, url: str) -> None:
    """Write the last line of a restart that succeeded, and end the connection."""
    tell(request, f"{_READY}{url}")
    end(request)


def end(request: socket.socket) -> None:
    """End the connection, also for processes that were forked while it was open."""
    with request, suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


def execute_again(handover: Handover, environment: Mapping[str, str]) -> NoReturn:
    """Replace this program by the one that was typed, with the code as it is now."""
    kept = (handover.web.fileno(), handover.request.fileno())
    for descriptor in kept:
        os.set_inheritable(descriptor, True)
    told = {_VARIABLE: f"{kept[0]} {handover.flower_port} {kept[1]}"}
    # One may have typed `python -m tidings up` or `celery -A tasks tidings up`.
    words = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, words, {**environment, **told})  # noqa: S606 - no shell is wanted


def take_handover() -> Handover | None:
    """Return what the last program of this `up` left, once; `None` if this is the first one."""
    told = os.environ.pop(_VARIABLE, None)
    if told is None:
        return None
    web, flower_port, request = map(int, told.split())
    for descriptor in (web, request):
        os.set_inheritable(descriptor, False)
    return Handover(socket.socket(fileno=web), flower_port, socket.socket(fileno=request))


def restart(data_dir: DataDir) -> Iterator[str]:
    """Ask the `up` on the data directory to restart, and yield what it says until it is ready.

    Raises `NotRestarted`.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(data_dir.restart_socket))
        except OSError as error:
            raise NotRestarted(
                f"no `tidings up` answers on {data_dir.folder} ({error.strerror}); "
                "start it with `make up`, or name another --data-dir"
            ) from error
        last = ""
        with suppress(ConnectionResetError), connection.makefile(encoding="utf-8") as lines:
            for line in lines:
                last = line.rstrip("\n")
                yield last
    if not last.startswith(_READY):
        raise NotRestarted("`tidings up` has not restarted; its own output says why")
