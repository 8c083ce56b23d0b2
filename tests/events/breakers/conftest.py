"""A bus with one subscription that depends on a service, which is available at first."""

from collections.abc import Iterator

import pytest

from events import Database
from events.testing import Bus
from tests.events.breakers.outage import dependent, renew_service


@pytest.fixture(autouse=True)
def _fresh_service() -> None:
    renew_service()


@pytest.fixture
def bus(any_database: Database) -> Iterator[Bus]:
    """A bus with the subscription that depends on the service."""
    with Bus(subscriptions=[dependent()], fail_fast=False) as running:
        yield running
