"""A bus with one subscription that depends on a service, which is available at first."""

from collections.abc import Iterator

import pytest

from events import Database, breakers
from events.testing import Bus
from tests.events.breakers.outage import SERVICE, dependent


@pytest.fixture(autouse=True)
def _fresh_service() -> None:
    SERVICE.error, SERVICE.calls = None, []
    breakers._answered.clear()


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    """A bus with the subscription that depends on the service."""
    with Bus(subscriptions=[dependent()], fail_fast=False) as running:
        yield running
