"""The queue of SQLite's writers: in turn, urgent ones first, and never left locked."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.events.turns import PATIENT, held, held_by_another_thread, lock
from tests.servers import HANG, wait_until

_HOLD = """
import sys, time
from events.dialects.write_lock import WriteLock
turn = WriteLock(sys.argv[1], 30.0, urgent=False).acquire()
print("held", flush=True)
time.sleep(60)
"""
LOCKS = Path("/proc/locks")
_WRITE = """
import os, statistics, sys, time
from events.dialects.write_lock import WriteLock
lock, overtaken = WriteLock(sys.argv[1], 30.0, urgent=False), []
number = os.open(f"{sys.argv[1]}.number", os.O_RDWR | os.O_CREAT)  # of turns so far
def turns():
    return int.from_bytes(os.pread(number, 8, 0), "big")
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + 2.0
while time.monotonic() < end:
    before = turns()
    turn = lock.acquire()
    now = turns()
    os.pwrite(number, (now + 1).to_bytes(8, "big"), 0)
    overtaken.append(now - before)
    time.sleep(0.002)  # a short transaction
    turn.release()
print(statistics.median(overtaken))
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The path of a database file that need not be there."""
    return str(tmp_path / "tidings.sqlite")


@contextmanager
def process(program: str, path: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a process of its own, and kill it at the end."""
    command = [sys.executable, "-c", program, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


def waiting(work: Callable[[], None]) -> threading.Thread:
    """Run `work` in a thread of its own until it is in the kernel's queue for a lock."""
    before = in_queue()
    thread = threading.Thread(target=work)
    thread.start()
    if LOCKS.exists():
        wait_until(lambda: in_queue() > before, what="a place in the queue")
    else:  # not Linux
        thread.join(0.1)
    assert thread.is_alive()
    return thread


def in_queue(file: str = "") -> int:
    """Count the threads of this process that wait for the lock of a file, or of any."""
    lines = LOCKS.read_text().splitlines() if LOCKS.exists() else []
    inode = f":{Path(file).stat().st_ino} " if file else ""
    return sum(
        "-> FLOCK" in each and str(os.getpid()) in each.split() and inode in each for each in lines
    )


def test_a_writer_waits_until_the_one_before_it_has_released_its_turn(path: str) -> None:
    holder = held_by_another_thread(path, 0.3)
    began = time.monotonic()
    turn = lock(path).acquire()
    waited = time.monotonic() - began
    holder.join()

    assert turn is not None
    assert waited > 0.2
    turn.release()


def test_writers_of_several_processes_do_not_overtake_each_other(path: str) -> None:
    commands = [[sys.executable, "-c", _WRITE, path]] * 4
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    writers = [subprocess.Popen(each, text=True, **pipes) for each in commands]
    for each in writers:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in writers:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    overtaken = [float(each.communicate(timeout=HANG)[0]) for each in writers]

    # Not the number of turns: a busy machine does not let each process queue as often.
    assert max(overtaken) <= 2 * len(writers), overtaken


def test_an_urgent_writer_waits_beside_no_patient_one(path: str) -> None:
    done: list[str] = []

    def write(name: str, *, urgent: bool) -> None:
        turn = lock(path, urgent=urgent).acquire()
        assert turn is not None
        done.append(name)
        turn.release()

    first = lock(path).acquire()
    assert first is not None
    patient = [waiting(lambda: write("patient", urgent=False)) for _ in range(5)]
    urgent = waiting(lambda: write("urgent", urgent=True))
    if LOCKS.exists():
        assert [in_queue(f"{path}-{name}") for name in ("gate", "turn")] == [5, 1]
    first.release()
    for thread in (*patient, urgent):
        thread.join(HANG)

    assert sorted(done) == ["patient"] * 5 + ["urgent"]


def test_the_turn_of_a_killed_process_is_free(path: str) -> None:
    with process(_HOLD, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert lock(path, timeout=0.05).acquire() is None
        holder.kill()
        turn = lock(path).acquire()

    assert turn is not None
    turn.release()


def test_a_thread_that_has_the_turn_does_not_wait_for_itself(path: str) -> None:
    turn = lock(path).acquire()
    assert turn is not None
    began = time.monotonic()
    again = lock(path).acquire()
    assert (again, time.monotonic() - began < PATIENT) == (None, True)
    turn.release()
    after = lock(path, timeout=0.05).acquire()

    assert after is not None
    after.release()


@pytest.mark.parametrize("urgent", [False, True])
def test_a_writer_with_little_patience_gives_up(urgent: bool, path: str) -> None:
    with held(path):
        began = time.monotonic()
        turn = lock(path, timeout=0.1, urgent=urgent).acquire()
        waited = time.monotonic() - began

    assert turn is None
    assert waited >= 0.1
    after = lock(path, timeout=0.1, urgent=urgent).acquire()
    assert after is not None  # it left nothing locked behind
    after.release()


_FORK = """
import os, time
""" + _HOLD.replace("turn = ", "parent, turn = os.getpid(), ").replace(
    'print("held", flush=True)\ntime.sleep(60)',
    """if os.fork():
    turn.release()
    print("released", flush=True)
    time.sleep(60)
while os.getppid() == parent:
    time.sleep(0.1)""",
)


_FORK_AND_DIE = _FORK.replace("turn.release()", "os.kill(parent, 9)").replace(
    "while os.getppid() == parent:", "for _ in range(80):"
)


@pytest.mark.parametrize("program", [_FORK, _FORK_AND_DIE])
def test_a_child_that_was_forked_while_its_parent_had_the_turn_does_not_keep_it(
    path: str, program: str
) -> None:
    with process(program, path) as parent:
        assert parent.stdout is not None
        parent.stdout.readline() if program is _FORK else parent.wait(HANG)

        turn = lock(path, timeout=5.0).acquire()

        assert turn is not None
        turn.release()


def test_no_descriptor_stays_open_where_files_cannot_be_locked(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert [lock(path).acquire() for _ in range(5)] == [None] * 5
    opened = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    assert not [name for name in opened if name.startswith(path)]
