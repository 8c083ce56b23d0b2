"""The pages of the newsletter: a new reader is an event, a report a plain task."""

from contract import ReaderSubscribed
from flask import Flask, request
from models import Mail, Model, Reader, Report, Session, engine
from sqlalchemy import func, select

from events import publish
from tasks import count_readers

Model.metadata.create_all(engine)
app = Flask(__name__)


@app.post("/readers")
def subscribe() -> tuple[dict[str, int], int]:
    """Take a new reader and the event about it, or neither."""
    with Session.begin() as session:
        reader = Reader(email=request.form["email"])
        session.add(reader)
        session.flush()
        publish(session, ReaderSubscribed(reader_id=reader.id), subject=f"reader-{reader.id}")
    return {"id": reader.id}, 202


@app.post("/reports")
def order_report() -> tuple[dict[str, int], int]:
    """Have the readers counted."""
    count_readers.delay()
    return {}, 202


@app.get("/")
def show() -> dict[str, int]:
    """Show what there is."""
    with Session() as session:
        return {
            table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Reader, Mail, Report)
        }
