"""The old version of an application: one event, one subscription. Its relay is that of `new`."""

from celery import Celery
from sqlalchemy.orm import Session

from events import Event, subscribe, transport
from events.subscriptions import registered
from tests.events.two_versions.effects import Greeting


class Greeted(Event, type="greet.greeted", version=1, source="greeter"):
    """Somebody was greeted."""

    number: int


@subscribe(Greeted, queue="greet")
def note_greeting(event: Greeted, session: Session) -> None:
    """Note the greeting."""
    session.add(Greeting(number=event.number, what="noted", worker="old", language=""))


app = Celery("old")
app.config_from_object("celeryconfig")
transport.install(app, registered().values())
transport.configure_logging()
