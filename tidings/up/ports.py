"""The ports of `up`: taken before anything starts, so that a port in use is told at once."""

import socket

import psutil

from tidings.up.data_dir import CannotStart

HOST = "127.0.0.1"


def listen(port: int, option: str) -> socket.socket:
    """A listening socket. The supervisor keeps it open while the web is started again, so that callers wait and are not refused.

    Raises `CannotStart` when somebody else listens there.
    """
    try:
        return socket.create_server((HOST, port), backlog=256)
    except OSError as error:
        raise CannotStart(
            f"port {port} cannot be used: {_owner(port) or error.strerror}; free it, or name another {option}"
        ) from None


def free(port: int, option: str) -> int:
    """The port, if nobody listens there; 0 finds a free one. Raises `CannotStart`."""
    with listen(port, option) as probe:
        return int(probe.getsockname()[1])


def _owner(port: int) -> str | None:
    try:
        for each in psutil.net_connections("tcp"):
            if (
                each.pid
                and each.status == psutil.CONN_LISTEN
                and each.laddr
                and each.laddr.port == port
            ):
                return f"pid {each.pid} ({psutil.Process(each.pid).name()}) listens there"
    except psutil.Error:  # others' sockets are told to root only
        pass
    return None
