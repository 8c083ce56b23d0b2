"""The corrected events, each with the subscription that alone gets it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from events.orm import Base
from events.tables import LogEntry


class EditedEvent(Base):
    """A corrected event: its original, and the only subscription that it is for.

    It goes with its event when that is pruned.
    """

    __tablename__ = "edited_events"

    event_id: Mapped[UUID] = mapped_column(
        Uuid, ForeignKey(LogEntry.id, ondelete="CASCADE"), primary_key=True
    )
    original_id: Mapped[UUID] = mapped_column(Uuid, index=True)
    subscription: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]
