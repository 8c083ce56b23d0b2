"""The pytest plugin: the fixture `bus`, for tests of handlers.

pytest loads this module in every project of its environment, also in those that use no bus. The bus
takes longer to import than pytest itself, so the fixture imports it.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from events import Subscription
    from events.testing import Bus


@pytest.fixture
def bus_subscriptions() -> "Iterable[Subscription] | None":
    """Return the subscriptions that `bus` delivers to; override it to choose some.

    `None` stands for all that the imported modules have registered.
    """
    return None


@pytest.fixture
def bus(tmp_path: Path, bus_subscriptions: "Iterable[Subscription] | None") -> "Iterator[Bus]":
    """Yield a bus on a new SQLite file with all tables, in use by this process."""
    from events import Database  # noqa: PLC0415 - see above: only tests that use the bus pay for it
    from events.testing import Bus  # noqa: PLC0415 - the same

    database = Database(f"sqlite:///{tmp_path / 'bus.sqlite'}")
    with Bus(database, bus_subscriptions) as bus:
        yield bus
    database.close()
