"""The ports of `up`, bound before any process starts, so that a used port is reported at once."""

import socket

import psutil

from tidings.free_port import free_port
from tidings.up.data_dir import CannotStart

HOST = "127.0.0.1"


def listen(port: int, option: str) -> socket.socket:
    """Return a listening socket. Raises `CannotStart` if the port is in use.

    The supervisor keeps the socket open while the web restarts, so that clients wait instead of
    being refused.
    """
    try:
        return socket.create_server((HOST, port), backlog=256)
    except OSError as error:
        reason = _owner(port) or error.strerror
        raise CannotStart(
            f"port {port} cannot be used: {reason}; free it, or name another {option}"
        ) from None


def find_free(port: int, option: str) -> int:
    """Return the port if it is free; 0 finds a free one. Raises `CannotStart`."""
    if port == 0:
        return free_port()
    listen(port, option).close()
    return port


def find_again(port: int) -> int:
    """Return the port of before the restart, or another if somebody has taken it meanwhile."""
    try:
        return find_free(port, "")
    except CannotStart:
        return free_port()


def _owner(port: int) -> str | None:
    try:
        for each in psutil.net_connections("tcp"):
            if not each.pid or each.status != psutil.CONN_LISTEN or not each.laddr:
                continue
            if each.laddr.port == port:
                return f"pid {each.pid} ({psutil.Process(each.pid).name()}) listens there"
    except psutil.Error:  # only root can see the sockets of other users
        pass
    return None
