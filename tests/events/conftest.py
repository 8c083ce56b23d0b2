"""Fixtures for the tests of the bus."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from events import Database, clock, pace
from events.testing import ManualClock
from tests.events.stack import Stack


@pytest.fixture(autouse=True)
def _no_pace_of_another_test() -> None:
    """Forget the pace of handlers, from which the size of a batch is derived."""
    pace._seconds.clear()


@pytest.fixture
def time() -> Iterator[ManualClock]:
    """The clock of the bus, which stands still until the test moves it."""
    moved = ManualClock()
    clock.follow(moved)
    yield moved
    clock.follow(None)


@pytest.fixture
def stack(database: Database, valkey_url: str, tmp_path: Path) -> Iterator[Stack]:
    """The small application on SQLite and Valkey; nothing runs yet."""
    stack = Stack(database, valkey_url, tmp_path)
    yield stack
    stack.close()


@pytest.fixture
def any_stack(any_database: Database, any_broker: str, tmp_path: Path) -> Iterator[Stack]:
    """The small application on each database with each broker; nothing runs yet."""
    stack = Stack(any_database, any_broker, tmp_path)
    yield stack
    stack.close()


@pytest.fixture
def make_stack(tmp_path: Path) -> Iterator[Callable[[Database, str], Stack]]:
    """Return a function that makes the small application on a given database and broker."""
    stacks: list[Stack] = []

    def make(database: Database, broker_url: str) -> Stack:
        stacks.append(Stack(database, broker_url, tmp_path))
        return stacks[-1]

    yield make
    for stack in stacks:
        stack.close()
