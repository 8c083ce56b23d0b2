"""A database of a shop without problems, and the examination of a broker."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from events import Database, heartbeat, transaction, transport
from events.admin import subscriptions
from events.settings import Settings
from events.transport import CeleryTransport
from tests.tasks.builders import stocked
from tests.tasks.conftest import queues, services
from tests.tidings.doctor.examined import Examine
from tidings.doctor import broker
from tidings.doctor.findings import Finding

OPTIONS = {"visibility_timeout": 120}


@pytest.fixture
def well(any_database: Database) -> None:
    """A database as of a shop that is well: everything registered, served and alive."""
    with transaction() as session:
        stocked(session, MUG=5)
        subscriptions.register(session, services())
    heartbeat.beat("relay@here", "relay")
    for queue in queues():
        heartbeat.beat(f"{queue}@here", "worker", [queue])


@pytest.fixture
def examine() -> Iterator[Examine]:
    """Examines a broker, with times that fit unless the test says otherwise."""
    made: list[CeleryTransport] = []

    def look(url: str, *queues: str, options: Any = None, **times: float) -> list[Finding]:
        app = Celery("examined", broker=url)
        transport.install(app, [])
        made.append(CeleryTransport(app))
        settings = Settings(broker_url=url, **times)
        configuration = SimpleNamespace(broker_transport_options=options or OPTIONS)
        return list(broker.check(made[-1], configuration, settings, queues))

    yield look
    for each in made:
        each.close()
