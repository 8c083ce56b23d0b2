"""The priority of what runs beside the web and the relay: an accepted order is what counts most."""

import os

# Niceness: a third of the weight of the web and the relay. Not less, because what holds the write
# lock of SQLite must go on soon.
BACKGROUND = 5


def give_way() -> None:
    """Let the web and the relay go before this process on a busy machine."""
    now = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(now, BACKGROUND))
