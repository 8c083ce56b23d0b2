"""Drivers of replays that are killed at each statement of a slice, and one that is not.

Run as `python -m tests.events.admin.killed_driver URL`; it prints the number of those killed.
"""

import os
import signal
import sys
from typing import Any

from sqlalchemy import event

from events.database import Database, use
from events.replays.driver import drive

MAX_STATEMENTS = 60  # of one slice; it has about fifteen


def drive_until(killed_at: int, url: str) -> None:
    """Drive the replays once; kill this process at the statement with this number."""
    database = Database(url)
    use(database)
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.writer, "before_cursor_execute", count)
    event.listen(database.writer, "commit", count)
    drive()


def main(url: str) -> None:
    """Fork a driver for each statement, because imports take seconds, until one ends by itself."""
    for number in range(1, MAX_STATEMENTS):
        child = os.fork()
        if not child:
            drive_until(number, url)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            assert status == 0, status
            print(number - 1)
            return
    sys.exit("no driver ended by itself")


if __name__ == "__main__":
    main(sys.argv[1])
