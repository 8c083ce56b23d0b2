"""The benchmarks' application on Tidings; it and relay.py alone use its Python interface."""

import os
from collections.abc import Sequence

from celery import Celery
from sqlalchemy.orm import Session

from benchmarks.effects import effect, write_all
from events import Event, publish, subscribe, subscribe_batch, transaction, transport
from events.admin import schema
from events.database import database
from events.subscriptions import registered

BATCH = {"batch": int(os.environ["BATCH"])} if "BATCH" in os.environ else {}
SUBSCRIBERS = int(os.environ.get("SUBSCRIBERS", "4"))


class Counted(Event, type="benchmark.counted", source="benchmark"):
    """A number whose effect is to be written."""

    number: int


if "AS_LIST" in os.environ:

    @subscribe_batch(Counted, queue="numbers")
    def count_all(events: Sequence[Counted], session: Session) -> None:
        """Write the effects of a batch in one statement."""
        write_all(session.connection(), [each.number for each in events])

else:

    @subscribe(Counted, queue="numbers", **BATCH)
    def count(event: Counted, session: Session) -> None:
        """Write the effect."""
        session.execute(effect(event.number))


class Announced(Event, type="benchmark.announced", source="benchmark"):
    """A number with several subscribers."""

    number: int


def ignore(event: Announced, session: Session) -> None:
    """Do nothing; fan_out runs no worker."""


for each in range(SUBSCRIBERS):
    subscribe(Announced, queue=f"subscriber_{each}")(ignore)

app = Celery("tidings-benchmark")
app.config_from_object("celeryconfig")
transport.install(app, registered().values())
transport.configure_logging()


def send(messages: int) -> None:
    """Publish the numbers; the relay sends them."""
    _publish([Counted(number=number) for number in range(messages)])


def announce(events: int) -> None:
    """Publish events with several subscribers each."""
    _publish([Announced(number=number) for number in range(events)])


def _publish(events: Sequence[Event]) -> None:
    schema.prepare(database(), registered().values())
    with transaction() as session:
        publish(session, *events)
