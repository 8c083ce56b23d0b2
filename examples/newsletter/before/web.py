"""The pages of the newsletter, on plain Celery."""

from flask import Flask, request
from models import Mail, Model, Reader, Report, Session, engine
from sqlalchemy import func, select

from tasks import count_readers, welcome

Model.metadata.create_all(engine)
app = Flask(__name__)


@app.post("/readers")
def subscribe() -> tuple[dict[str, int], int]:
    """Take a new reader, who is sent a mail."""
    with Session.begin() as session:
        reader = Reader(email=request.form["email"])
        session.add(reader)
    welcome.delay(reader.id)
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
