"""A database of a shop without problems."""

import pytest

from events import Database, heartbeat, transaction
from events.admin import subscriptions
from tests.tasks.builders import stocked
from tests.tasks.conftest import QUEUES, services


@pytest.fixture
def well(any_database: Database) -> None:
    """A database as of a shop that is well: everything registered, served and alive."""
    with transaction() as session:
        stocked(session, MUG=5)
        subscriptions.register(session, services())
    heartbeat.beat("relay@here", "relay")
    for queue in QUEUES:
        heartbeat.beat(f"{queue}@here", "worker", [queue])
