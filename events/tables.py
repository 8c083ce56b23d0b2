"""The tables of the bus."""

from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from sqlalchemy import (
    JSON,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    Text,
    Uuid,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from events.orm import Base, BigIntPK, table_of


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class LogEntry(Base):
    """One envelope in the append-only event log: outbox, audit trail and history in one."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_unrelayed", "position", **_where("relayed_at IS NULL")),
        Index("ix_events_type_position", "type", "position"),
    )

    position: Mapped[int] = mapped_column(BigIntPK, primary_key=True, autoincrement=True)
    id: Mapped[UUID] = mapped_column(Uuid, unique=True)
    type: Mapped[str] = mapped_column(String(200))
    version: Mapped[int]
    source: Mapped[str] = mapped_column(String(100))
    subject: Mapped[str | None] = mapped_column(String(200), index=True)
    time: Mapped[datetime]
    correlation_id: Mapped[UUID] = mapped_column(Uuid, index=True)
    causation_id: Mapped[UUID | None] = mapped_column(Uuid)
    actor: Mapped[dict[str, Any]]
    traceparent: Mapped[str | None] = mapped_column(String(100))
    data: Mapped[dict[str, Any]]
    publish_at: Mapped[datetime]
    relayed_at: Mapped[datetime | None]


class ScheduledEvent(Base):
    """An event that is published at a later time, under a key; see `events.scheduled`.

    It is no fact yet, so it is not in the log: nothing that reads the log has to leave it out.
    """

    __tablename__ = "scheduled_events"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    id: Mapped[UUID] = mapped_column(Uuid)
    type: Mapped[str] = mapped_column(String(200))
    version: Mapped[int]
    source: Mapped[str] = mapped_column(String(100))
    subject: Mapped[str | None] = mapped_column(String(200))
    time: Mapped[datetime]
    correlation_id: Mapped[UUID] = mapped_column(Uuid)
    causation_id: Mapped[UUID | None] = mapped_column(Uuid)
    actor: Mapped[dict[str, Any]]
    traceparent: Mapped[str | None] = mapped_column(String(100))
    data: Mapped[dict[str, Any]]
    publish_at: Mapped[datetime] = mapped_column(index=True)


class Delivery(Base):
    """The record of whether one subscription has handled one event; see `events.ledger`."""

    __tablename__ = "deliveries"
    __table_args__ = (
        ForeignKeyConstraint(["event_id"], ["events.id"]),
        Index(
            "ix_deliveries_due",
            "subscription",
            "due_at",
            **_where("sent_at IS NULL AND state IN ('pending', 'retrying')"),
        ),
        Index(
            "ix_deliveries_in_flight",
            "subscription",
            "message",
            **_where("sent_at IS NOT NULL AND state IN ('pending', 'retrying')"),
        ),
        Index(
            "ix_deliveries_deaths",  # in the order of the lists; many may die in one moment
            *("died_at", "event_id", "subscription"),
            **_where("state = 'dead'"),
        ),
        Index(
            "ix_deliveries_causes",  # holds all that is counted, so that no row is read; for SQLite
            *("subscription", "fingerprint", "died_at", "queue", "state"),  # the state too
            **_where("state = 'dead'"),
        ),
        {"sqlite_with_rowid": False},  # one tree for the row and its key
    )

    # The event first: the fan-out inserts in this order, and a page asks for an event's deliveries.
    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    subscription: Mapped[str] = mapped_column(String(200), primary_key=True)
    queue: Mapped[str] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(10))
    message: Mapped[str | None] = mapped_column(String(300))  # the id of its latest task message
    attempts: Mapped[int] = mapped_column(default=0)
    not_now: Mapped[int] = mapped_column(server_default="0")  # those that ended with "not now"
    failing_since: Mapped[datetime | None]  # the start of the first of them
    sends: Mapped[int] = mapped_column(default=0)
    lost_count: Mapped[int] = mapped_column(default=0)
    unfinished_starts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    died_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
    fingerprint: Mapped[str | None] = mapped_column(String(300))
    dependency: Mapped[str | None] = mapped_column(String(50))  # that its last error said was down

    @property
    def id(self) -> str:
        """The delivery's public id, which is also its idempotency key."""
        return delivery_id(self.event_id, self.subscription)


def delivery_id(event_id: UUID, subscription: str) -> str:
    """Return `<event id>:<subscription>`: the same on every retry, redelivery and replay."""
    return f"{event_id}:{subscription}"


class Attempt(Base):
    """One failed attempt of a delivery."""

    __tablename__ = "attempts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["event_id", "subscription"], ["deliveries.event_id", "deliveries.subscription"]
        ),
        Index("ix_attempts_delivery", "event_id", "subscription"),
    )

    id: Mapped[int] = mapped_column(BigIntPK, primary_key=True, autoincrement=True)
    subscription: Mapped[str] = mapped_column(String(200))
    event_id: Mapped[UUID] = mapped_column(Uuid)
    number: Mapped[int]
    send: Mapped[int]
    task_id: Mapped[str | None] = mapped_column(String(300))  # of its task message
    started_at: Mapped[datetime]
    took: Mapped[float]
    worker: Mapped[str] = mapped_column(String(200))
    error_type: Mapped[str] = mapped_column(String(200))
    message: Mapped[str] = mapped_column(Text)
    traceback: Mapped[str] = mapped_column(Text)


class SubscriptionRow(Base):
    """A subscription as workers registered it, and whether an operator paused it."""

    __tablename__ = "subscriptions"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    queue: Mapped[str] = mapped_column(String(100))
    event_types: Mapped[list[str]]
    policy: Mapped[dict[str, Any]]
    batch: Mapped[int]
    depends_on: Mapped[str | None] = mapped_column(String(50))  # the dependency of its breaker
    first_registered: Mapped[datetime]
    last_seen: Mapped[datetime]
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str | None] = mapped_column(String(200))
    paused_why: Mapped[str | None] = mapped_column(Text)


class QueueTrouble(TypedDict):
    """The reason why the broker refuses one queue, and the fix."""

    reason: str
    fix: str


class Heartbeat(Base):
    """A live process, so that the web can show workers and relays without a broker."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    queues: Mapped[list[str]]
    slots: Mapped[int]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    last_seen: Mapped[datetime]
    skew: Mapped[float] = mapped_column(default=0.0)  # seconds that its machine's clock is ahead
    trouble: Mapped[str | None] = mapped_column(Text)
    blocked: Mapped[bool]  # `trouble` is that the broker accepts no messages; it can be reached
    queue_troubles: Mapped[dict[str, QueueTrouble]] = mapped_column(JSON)  # by queue
    deaf: Mapped[str | None] = mapped_column(Text)
    version: Mapped[str] = mapped_column(String(100), server_default="")  # of the application


class VersionStart(Base):
    """The moment from which workers of a queue had another version of the application."""

    __tablename__ = "version_starts"

    queue: Mapped[str] = mapped_column(String(100), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(String(100))


class InvalidMessageRow(Base):
    """A message that no relay of ours sent, kept with its raw body."""

    __tablename__ = "invalid_messages"

    id: Mapped[int] = mapped_column(BigIntPK, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    queue: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(200))
    error: Mapped[str] = mapped_column(Text)
    headers: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    discarded_at: Mapped[datetime | None]


class Pruning(Base):
    """The time up to which deliveries of one event type to one subscription were pruned."""

    __tablename__ = "prunings"

    subscription: Mapped[str] = mapped_column(String(200), primary_key=True)
    event_type: Mapped[str] = mapped_column(String(200), primary_key=True)
    until: Mapped[datetime]


# For the statements of the hot path: without the ORM each costs some 30 µs less.
EVENTS, DELIVERIES, SUBSCRIPTIONS = (
    table_of(each) for each in (LogEntry, Delivery, SubscriptionRow)
)
