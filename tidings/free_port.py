"""Free ports of 127.0.0.1 for servers that listen later."""

import os
import socket
from contextlib import suppress
from itertools import count

# Below those that Linux gives to clients (32768 and up): a client of anybody would have taken one
# of these before the server listens on it. Each process begins elsewhere, so that two do not agree.
_FIRST, _NUMBER = 20_000, 12_000
_turns = count(os.getpid() * 997)


def free_port() -> int:
    """Return a port on which nothing listens, and that was not returned lately."""
    while True:
        port = _FIRST + next(_turns) % _NUMBER
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
