"""The tables of the alerts: their state, and the latest look at the rules."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from events.orm import Base


class State(StrEnum):
    """The state of an alert."""

    PENDING = "pending"  # its rule holds, but not for long enough
    FIRING = "firing"  # its rule holds
    OVER = "over"  # its rule held


class Alert(Base):
    """A rule and the subject for which it holds or held: a queue, a dependency, a cause."""

    __tablename__ = "alerts"

    rule: Mapped[str] = mapped_column(String(20), primary_key=True)
    subject: Mapped[str] = mapped_column(String(200), primary_key=True)
    cause: Mapped[str] = mapped_column(String(300), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    title: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime]  # when its rule began to hold
    raised_at: Mapped[datetime | None]  # the first message since then; none while it is held back
    notified_at: Mapped[datetime | None]  # the latest message that it is raised, of any time
    messages: Mapped[int]  # that it is raised, since its rule began to hold
    ended_at: Mapped[datetime | None]

    @property
    def key(self) -> tuple[str, str, str]:
        """The key of the row."""
        return self.rule, self.subject, self.cause


class AlertLook(Base):
    """The latest look at the rules. Whoever looks writes it, so that of two only one decides."""

    __tablename__ = "alert_looks"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    at: Mapped[datetime]
