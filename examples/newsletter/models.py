"""The tables of the newsletter, on a declarative base of its own."""

import os
from datetime import datetime

from sqlalchemy import create_engine, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker


class Model(DeclarativeBase):
    """The base of the newsletter's own tables."""


class Reader(Model):
    """Somebody who reads the newsletter."""

    __tablename__ = "readers"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)


class Mail(Model):
    """A mail that was written; the mail server takes it from here."""

    __tablename__ = "mails"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    subject: Mapped[str]
    written_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Report(Model):
    """The number of readers, counted now and then."""

    __tablename__ = "reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    readers: Mapped[int]


engine = create_engine(os.environ["DATABASE_URL"])
Session = sessionmaker(engine, expire_on_commit=False)
