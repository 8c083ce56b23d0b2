"""The new version of an application: a second version of the event, and a second subscription."""

from celery import Celery
from sqlalchemy.orm import Session

from events import Event, subscribe, transport, upcaster
from events.subscriptions import registered
from tests.events.two_versions.effects import Greeting


class GreetedV1(Event, type="greet.greeted", version=1, source="greeter"):
    """Somebody was greeted."""

    number: int


class Greeted(Event, type="greet.greeted", version=2, source="greeter"):
    """Somebody was greeted in a language."""

    number: int
    language: str


@upcaster(GreetedV1, Greeted)
def add_language(old: GreetedV1) -> Greeted:
    """Name the language of version 1, which did not record it."""
    return Greeted(number=old.number, language="unknown")


@subscribe(Greeted, queue="greet")
def note_greeting(event: Greeted, session: Session) -> None:
    """Note the greeting with its language."""
    row = Greeting(number=event.number, what="noted", worker="new", language=event.language)
    session.add(row)


@subscribe(Greeted, queue="greet")
def count_language(event: Greeted, session: Session) -> None:
    """Count the language, which the old version does not do."""
    row = Greeting(number=event.number, what="counted", worker="new", language=event.language)
    session.add(row)


app = Celery("new")
app.config_from_object("celeryconfig")
transport.install(app, registered().values())
transport.configure_logging()
