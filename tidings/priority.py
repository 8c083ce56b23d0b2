"""The priority of what runs beside the web and the relay: an accepted order is what counts most."""

import os
import time
from pathlib import Path

# Niceness: a third of the weight of the web and the relay. Not less, because what holds the write
# lock of SQLite must go on soon.
BACKGROUND = 5
_SESSION = Path("/proc/self/autogroup")
_TRIES, _PAUSE = 30, 0.1  # the kernel lets one session of an unprivileged user be changed at a time


def give_way() -> None:
    """Let the web and the relay go before this process on a busy machine."""
    now = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(now, BACKGROUND))


def set_for_session(niceness: int) -> None:
    """Set the niceness of this process and of the session that it has just opened.

    Linux shares the processors among the sessions first, each with one weight, however many
    processes it has; the niceness of a process then counts in its own session only (sched(7), "The
    autogroup feature"). Where there is no such feature, that of the process is all.
    """
    os.nice(niceness)
    for _ in range(_TRIES if niceness else 0):
        try:
            _SESSION.write_text(str(niceness))
        except BlockingIOError:
            time.sleep(_PAUSE)
        except OSError:
            return
        else:
            return
