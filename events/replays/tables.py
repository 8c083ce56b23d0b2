"""The tables of the replays: one row per job, and one per delivery that a job gave back."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, String, Text, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from events.orm import Base, BigInt, BigIntPK, table_of


class Kind(StrEnum):
    """The kind of a job."""

    REPLAY = "replay"  # gives dead letters back
    BACKFILL = "backfill"  # gives past events to a subscription


class JobState(StrEnum):
    """The state of a job."""

    RUNNING = "running"  # gives deliveries back, or watches those of its step
    PAUSED = "paused"  # gives none back until an operator resumes it
    STOPPED = "stopped"  # ended by an operator or by its limit; the rest is untouched
    DONE = "done"  # every delivery that it gave back is settled, and none is left


class Outcome(StrEnum):
    """The outcome of a delivery that a job gave back."""

    DONE = "done"  # handled
    FAILED = "failed"  # dead again
    SKIPPED = "skipped"  # discarded, or pruned before the job looked


# The text is that of the partial index: SQLite uses it only if the query has the same words.
IS_ACTIVE = text("(replays.state IN ('running', 'paused') OR replays.open > 0)")
_ACTIVE = text("state IN ('running', 'paused') OR open > 0")
_UNSETTLED = text("outcome IS NULL")


class Replay(Base):
    """A job that gives deliveries back in steps, at a rate, and stops when too many die again.

    A job is driven in slices: a transaction locks its row, writes the outcomes of a slice and gives
    back another one, so that a process that dies leaves nothing half done.
    """

    __tablename__ = "replays"
    __table_args__ = (
        Index("ix_replays_active", "id", sqlite_where=_ACTIVE, postgresql_where=_ACTIVE),
    )

    id: Mapped[int] = mapped_column(BigIntPK, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(10))
    total: Mapped[BigInt]  # deliveries that were selected when it began
    released: Mapped[BigInt] = mapped_column(default=0)  # given back so far
    open: Mapped[BigInt] = mapped_column(default=0)  # of these, not settled yet
    done: Mapped[BigInt] = mapped_column(default=0)  # of these, handled
    failed: Mapped[BigInt] = mapped_column(default=0)  # of these, dead again
    skipped: Mapped[BigInt] = mapped_column(default=0)  # settled by somebody else meanwhile
    exhausted: Mapped[bool] = mapped_column(default=False)  # nothing is left to give back
    position: Mapped[BigInt] = mapped_column(default=0)  # in the log, of a backfill
    rate: Mapped[float | None]  # deliveries per second; without one, as fast as they are handled
    stop_above: Mapped[float]  # the share of a step that may die again
    step: Mapped[int] = mapped_column(default=0)  # the present one, counted from 0
    created_at: Mapped[datetime]
    died_until: Mapped[datetime]  # dead letters that died later are not selected
    due_at: Mapped[datetime]  # of the next delivery, at the rate
    ended_at: Mapped[datetime | None]
    who: Mapped[str] = mapped_column(String(200))
    why: Mapped[str] = mapped_column(Text)
    stopped_because: Mapped[str | None] = mapped_column(Text)
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # as `events.replays.steps` reads it
    selection: Mapped[dict[str, Any]]


class ReplayedDelivery(Base):
    """A delivery that a job gave back, and its outcome.

    `sends` is the number of sends before: an attempt of a later send belongs to this replay.
    """

    __tablename__ = "replayed_deliveries"
    __table_args__ = (
        Index(
            "ix_replayed_deliveries_unsettled",
            "replay_id",
            sqlite_where=_UNSETTLED,
            postgresql_where=_UNSETTLED,
        ),
        Index("ix_replayed_deliveries_event", "event_id"),
        {"sqlite_with_rowid": False},
    )

    replay_id: Mapped[BigInt] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    subscription: Mapped[str] = mapped_column(String(200), primary_key=True)
    step: Mapped[int]
    sends: Mapped[int]
    released_at: Mapped[datetime]
    outcome: Mapped[str | None] = mapped_column(String(10))


REPLAYED = table_of(ReplayedDelivery)
