"""The table that both versions of the application write."""

from sqlalchemy.orm import Mapped, mapped_column

from events import Base


class Greeting(Base):
    """An effect: a row for each time that a handler ran and committed."""

    __tablename__ = "two_versions_greetings"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    number: Mapped[int]
    what: Mapped[str]
    worker: Mapped[str]
    language: Mapped[str]
