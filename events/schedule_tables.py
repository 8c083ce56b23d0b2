"""The table of the schedules."""

from datetime import datetime, timedelta

from sqlalchemy import Double, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from events.orm import Base
from events.timing import Timing


class ScheduleRow(Base):
    """An entry of `events.schedules`, with the due time that is published next."""

    __tablename__ = "schedules"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    cron: Mapped[str | None] = mapped_column(String(200))
    every: Mapped[float | None] = mapped_column(Double)  # seconds
    timezone: Mapped[str] = mapped_column(String(100))
    missed: Mapped[str] = mapped_column(String(10))
    event_type: Mapped[str] = mapped_column(String(200))
    next_due_at: Mapped[datetime]
    last_due_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)

    @property
    def timing(self) -> Timing:
        """The due times that the row was written for."""
        every = None if self.every is None else timedelta(seconds=self.every)
        return Timing(cron=self.cron, every=every, timezone=self.timezone)
