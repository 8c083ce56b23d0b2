"""Fixtures for the bus's own tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from events import Database
from tests.events.stack import Stack


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
