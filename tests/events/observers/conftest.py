"""A server in the place of Sentry and of a collector of OpenTelemetry."""

from collections.abc import Iterator

import pytest

from tests.events.observers.collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server
