"""A migrated SQLite database with orders, in use by this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from events import Database
from events.database import use
from tests.tasks.builders import placed, stocked
from tests.worlds import Worlds
from tidings.migrations.run import migrate


@pytest.fixture
def shop(tmp_path: Path, worlds: Worlds) -> Iterator[Database]:
    """A shop with the orders ORD-1001 and ORD-1002, without any process."""
    database = Database(f"sqlite:///{tmp_path / 'var' / 'tidings.sqlite'}")
    use(database)

    def with_orders() -> None:
        migrate(database)
        with database.transaction() as session:
            stocked(session, MUG=50)
        for _ in range(2):
            placed()

    worlds.enter("a migrated shop", database, with_orders)
    yield database
    use(None)
    database.close()
