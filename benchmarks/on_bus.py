"""The benchmarks' application on Tidings.

The one benchmark that knows the bus's interface; the others know its processes and tables.
"""

import os

from celery import Celery
from sqlalchemy.orm import Session

from benchmarks.effects import effect
from events import Base, Event, control, publish, subscribe, transaction, transport
from events.subscriptions import registered

BATCH = {"batch": int(os.environ["BATCH"])} if "BATCH" in os.environ else {}
LEFT = (
    "SELECT (SELECT count(*) FROM events WHERE relayed_at IS NULL) + "
    "(SELECT count(*) FROM deliveries WHERE state IN ('pending', 'retrying'))"
)


class Counted(Event, type="benchmark.counted", source="benchmark"):
    """A number that wants its effect."""

    number: int


@subscribe(Counted, queue="numbers", **BATCH)
def count(event: Counted, session: Session) -> None:
    """Write the effect."""
    session.execute(effect(event.number))


app = Celery("tidings-benchmark")
app.config_from_object("celeryconfig")
transport.install(app, registered().values())


def send(messages: int) -> None:
    """Publish the numbers; the relay sends them."""
    with transaction() as session:
        Base.metadata.create_all(session.connection())
        control.register(session, registered().values())
        publish(session, *[Counted(number=number) for number in range(messages)])
