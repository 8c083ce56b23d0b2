"""The priority of what runs beside the web: an accepted order is what counts most."""

import os
from pathlib import Path

# Niceness of workers: a third of the weight of the web. Not less, because what holds the write lock
# of SQLite must go on soon.
BACKGROUND = 5
# A tenth of theirs: while the workers are busy the relay then takes more at a time, and batches of
# three deliveries instead of one cost half as much (docs/performance.md, "What was changed").
RELAY = 15


def give_way() -> None:
    """Let the web go before this process on a busy machine."""
    now = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, max(now, BACKGROUND))


def set_session_niceness(leader: int, niceness: int) -> bool:
    """Set the niceness of the session that a child opens; false to be asked again a little later.

    Linux shares the processors among the sessions first, each with one weight, however many
    processes it has; the niceness of a process then counts in its own session only (sched(7), "The
    autogroup feature"). Users without privileges may change one session in a tenth of a second.
    Where there is no such feature, the niceness of the processes is all.
    """
    try:
        if os.getsid(leader) != leader:  # not opened yet
            return False
        Path(f"/proc/{leader}/autogroup").write_text(str(niceness))
    except BlockingIOError:
        return False
    except OSError:  # there is no such feature, or the child has ended
        pass
    return True
