"""States of SQLite databases that take long to reach: the first test makes one, the others copy it.

The copies are as old as the test session, so what a state says of the clock must hold later too.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar, cast

from events import Database
from events.testing import create_missing_tables

T = TypeVar("T")


class Worlds:
    """The states that the tests of this process have reached, each with what its maker returned."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, object] = {}

    def enter(self, name: str, database: Database, make: Callable[[], T]) -> T:
        """Bring the database into a state by a copy, or by `make` when it is the first.

        PostgreSQL has no quick copy, so each of its databases is made.
        """
        if not database.sqlite:
            return make()
        kept, used = self._folder / f"{name}.sqlite", Path(database.url.database or "")
        if name in self._made:
            if new := not used.exists():
                used.parent.mkdir(parents=True, exist_ok=True)
            _copy(kept, used)
            if not new:
                create_missing_tables(database)  # those of modules that were imported since
        else:
            self._made[name] = make()
            _copy(used, kept)
        return cast("T", self._made[name])


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        written.execute("PRAGMA synchronous = OFF")  # a crash loses only this run
        read.backup(written)
