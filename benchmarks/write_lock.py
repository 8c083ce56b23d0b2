"""Sample the holder of SQLite's write lock: `python -m benchmarks.write_lock FILE` until SIGTERM.

In WAL mode a writer holds a POSIX lock on byte 120 of the `-shm` file; F_GETLK asks whether a lock
could be had and takes none, so sampling delays no writer. It must not open the database itself:
closing the file would free the locks of its own process.
"""

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections import Counter

import psutil

from benchmarks.servers import ROOT
from benchmarks.shop import Shop, role

_WAL_WRITE_LOCK = 120  # sqlite.org/walformat.html, the locking bytes of the WAL index
_FLOCK = "hhqqi4x"  # struct flock of Linux on 64 bits
_PAUSE = 0.001  # seconds


class WriteLock:
    """Milliseconds that each role held the write lock while the block ran; none on PostgreSQL."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.held: Counter[str] = Counter()

    def __enter__(self) -> "WriteLock":
        if self._shop.sqlite:
            command = [sys.executable, "-m", "benchmarks.write_lock", self._shop.database_file]
            self._sampler = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
            assert self._sampler.stdout is not None
            self._sampler.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        if self._shop.sqlite:
            self._sampler.send_signal(signal.SIGTERM)
            said, _ = self._sampler.communicate(timeout=10)
            for pid, seconds in json.loads(said).items():
                self.held[_role(int(pid))] += seconds * 1000


def _role(pid: int) -> str:
    try:
        return role(psutil.Process(pid))
    except psutil.Error:
        return "ended"


def main(path: str) -> None:
    """Sample until SIGTERM, then print the seconds that each process held the lock."""
    held: Counter[int] = Counter()
    samples, going = 0, True

    def stop(*_: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    file = os.open(f"{path}-shm", os.O_RDONLY)
    print("sampling", flush=True)
    began = time.monotonic()
    question = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, _WAL_WRITE_LOCK, 1, 0)
    while going:
        answer = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, question))
        samples += 1
        if answer[0] != fcntl.F_UNLCK:
            held[answer[4]] += 1
        time.sleep(_PAUSE)
    pause = (time.monotonic() - began) / max(samples, 1)
    print(json.dumps({pid: count * pause for pid, count in held.items()}))


if __name__ == "__main__":
    main(sys.argv[1])
