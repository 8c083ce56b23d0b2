"""The benchmarks' application on the bus."""

import os
import time

from celery import Celery
from sqlalchemy.orm import Session

from benchmarks.on_stock import WORK, Effect
from events import Event, subscribe, transport
from events.subscriptions import registered


class Counted(Event, type="kills.counted", source="benchmark"):
    """A number that wants its effect."""

    number: int


@subscribe(Counted, queue="kills", batch=int(os.environ.get("BATCH", "1")))
def count(event: Counted, session: Session) -> None:
    """Do the work, by way of the bus."""
    time.sleep(WORK)
    session.add(Effect(number=event.number))


app = Celery("tidings-kills")
app.config_from_object("celeryconfig")
transport.install(app, registered().values())
