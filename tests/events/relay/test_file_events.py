"""On SQLite, Linux tells the relay of a write; where it tells of none, the relay polls."""

import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from events import Database
from events.relay.file_events import FileEvents
from events.relay.wakeup import DEAF_AFTER, Wakeup, wakeup
from tests.events.sample import note

LONG = 20.0  # seconds; no test reaches this timeout
SOON = 10.0
NEVER = threading.Event()

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


@pytest.fixture
def waiting(database: Database) -> Iterator[Wakeup]:
    """A wakeup that has seen every commit so far."""
    found = wakeup(database)
    for _ in range(2):
        found.wait(0.1, NEVER)
    yield found
    found.close()


def wait_and_count_sleeps(waiting: Wakeup, timeout: float) -> int:
    """Return how often this thread slept during a wait."""
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    waiting.wait(timeout, NEVER)
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before


def commits_end_the_wait(waiting: Wakeup) -> bool:
    """Return whether a commit of another thread ends a long wait soon."""
    timer = threading.Timer(0.1, lambda: note("a"))
    timer.start()
    began = time.monotonic()
    waiting.wait(LONG, NEVER)
    timer.join()
    return 0.05 < time.monotonic() - began < SOON


def test_a_relay_with_nothing_to_do_sleeps_until_something_is_written(waiting: Wakeup) -> None:
    waiting.wait(1.0, NEVER)

    assert wait_and_count_sleeps(waiting, 1.0) < 40  # at intervals it would be a hundred

    assert commits_end_the_wait(waiting)


def test_a_relay_that_is_not_told_of_a_commit_sees_it_and_polls_from_then_on(
    waiting: Wakeup, tmp_path: Path
) -> None:
    # An inotify that watches another folder stands for a file that another kernel writes to.
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere = FileEvents(folder / "other")
    os.dup2(elsewhere._descriptor, waiting._writes._descriptor)  # type: ignore[attr-defined]
    waiting.wait(DEAF_AFTER, NEVER)

    assert commits_end_the_wait(waiting)
    assert wait_and_count_sleeps(waiting, 2.0) > 80  # a relay that waits to be told: eight
    assert commits_end_the_wait(waiting)
    elsewhere.close()


def test_a_relay_where_there_is_no_inotify_polls(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    polling = wakeup(database)
    polling.wait(0.0, NEVER)

    assert commits_end_the_wait(polling)
    polling.close()


def test_only_a_write_to_the_file_itself_is_told(tmp_path: Path) -> None:
    events = FileEvents(tmp_path / "log")
    (tmp_path / "log.other").write_bytes(b"a")
    (tmp_path / "lo").write_bytes(b"a")
    assert not events.wait(0.1)

    (tmp_path / "log").write_bytes(b"a")
    assert events.wait(SOON)
    assert not events.wait(0.0)

    others = [(tmp_path / f"other-{number}").open("wb", buffering=0) for number in range(2)]
    for number in range(5000):  # more than one read takes
        others[number % 2].write(b"a")
    (tmp_path / "log").write_bytes(b"b")
    assert events.wait(SOON)
    assert not events.wait(0.0)
    events.close()
    for each in others:
        each.close()


def test_a_folder_that_does_not_exist_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        FileEvents(tmp_path / "missing" / "log")
