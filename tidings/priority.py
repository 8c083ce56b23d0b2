"""The priority of what runs beside the web: an accepted order is what counts most."""

import os
import time
from pathlib import Path

# Niceness of workers: a third of the weight of the web. Not less, because what holds the write lock
# of SQLite must go on soon.
BACKGROUND = 5
# A tenth of theirs: while the workers are busy the relay then takes more at a time, and batches of
# three deliveries instead of one cost half as much (docs/performance.md, "What was changed").
RELAY = 15

_SESSION = Path("/proc/self/autogroup")
_ATTEMPTS, _PAUSE = 30, 0.1  # seconds; users without privileges may change one session in that time


def give_way() -> None:
    """Let the web go before this process on a busy machine."""
    now = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(now, BACKGROUND))


def give_way_as_session(niceness: int) -> None:
    """Raise the niceness of this process, and with it that of the session that it has just opened.

    Linux shares the processors among the sessions first, each with one weight, however many
    processes it has; the niceness of a process then counts in its own session only (sched(7), "The
    autogroup feature"). Where there is no such feature, that of the process is all.
    """
    reached = os.nice(niceness)
    for _ in range(_ATTEMPTS if niceness else 0):
        try:
            _SESSION.write_text(str(reached))
        except BlockingIOError:
            time.sleep(_PAUSE)
        except OSError:
            return
        else:
            return
