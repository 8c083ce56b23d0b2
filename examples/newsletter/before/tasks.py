"""The tasks of the newsletter, on plain Celery."""

import os

from celery import Celery
from models import Mail, Reader, Report, Session
from sqlalchemy import func, select

app = Celery("newsletter", broker=os.environ["BROKER_URL"])


@app.task
def welcome(reader_id: int) -> None:
    """Write the first mail to a new reader."""
    with Session.begin() as session:
        reader = session.get_one(Reader, reader_id)
        session.add(Mail(email=reader.email, subject="Welcome"))


@app.task
def count_readers() -> None:
    """Count the readers."""
    with Session.begin() as session:
        readers = session.scalar(select(func.count()).select_from(Reader)) or 0
        session.add(Report(readers=readers))
