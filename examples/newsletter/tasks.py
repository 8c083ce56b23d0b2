"""The tasks of the newsletter: one is a subscription now, the others are plain Celery."""

import os

from celery import Celery
from contract import ReaderSubscribed
from models import Mail, Reader, Report, Session
from sqlalchemy import func, select
from sqlalchemy.orm import Session as BusSession

from events import subscribe, transport
from events.subscriptions import registered

app = Celery("newsletter", broker=os.environ["BROKER_URL"])


@subscribe(ReaderSubscribed, queue="mails")
def welcome_reader(event: ReaderSubscribed, session: BusSession) -> None:
    """Write the first mail to a new reader, once."""
    reader = session.get_one(Reader, event.reader_id)
    session.add(Mail(email=reader.email, subject="Welcome"))


@app.task
def welcome(reader_id: int) -> None:
    """Handle the messages that were sent before `welcome_reader` took over."""
    with Session.begin() as session:
        reader = session.get_one(Reader, reader_id)
        session.add(Mail(email=reader.email, subject="Welcome"))


@app.task
def count_readers() -> None:
    """Count the readers."""
    with Session.begin() as session:
        readers = session.scalar(select(func.count()).select_from(Reader)) or 0
        session.add(Report(readers=readers))


transport.install(app, registered().values())
