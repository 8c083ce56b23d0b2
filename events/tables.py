"""The bus's tables. A delivery is the truth about whether one handler has handled one event."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    Uuid,
    bindparam,
    literal,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

OPEN = ("pending", "retrying")


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, with its zone on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a moment without a zone, store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; use events.clock.now()")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite forgets the zone; it was UTC."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class Base(DeclarativeBase):
    """All tables, the bus's and the application's, so that one transaction spans them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: Moment, dict[str, Any]: JSON, list[str]: JSON}


BigKey = BigInteger().with_variant(Integer, "sqlite")


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class LogEntry(Base):
    """One envelope in the append-only event log: outbox, audit trail and history in one."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_unrelayed", "position", **_where("relayed_at IS NULL")),
        Index("ix_events_type_position", "type", "position"),
    )

    position: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
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


class Delivery(Base):
    """Whether one subscription has handled one event. The only row a message can ring for."""

    __tablename__ = "deliveries"
    __table_args__ = (
        ForeignKeyConstraint(["event_id"], ["events.id"]),
        Index("ix_deliveries_due", "subscription", "due_at", **_where("sent_at IS NULL AND state IN ('pending', 'retrying')")),
        Index("ix_deliveries_out", "queue", "sent_at", **_where("sent_at IS NOT NULL AND state IN ('pending', 'retrying')")),
        Index("ix_deliveries_done", "queue", "sent_at", **_where("state = 'done'")),
        Index("ix_deliveries_dead", "died_at", **_where("state = 'dead'")),
    )

    subscription: Mapped[str] = mapped_column(String(200), primary_key=True)
    event_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, index=True)
    queue: Mapped[str] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(default=0)
    sends: Mapped[int] = mapped_column(default=0)
    losses: Mapped[int] = mapped_column(default=0)
    starts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    died_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
    fingerprint: Mapped[str | None] = mapped_column(String(300))

    @property
    def id(self) -> str:
        """The delivery's public id, which is also its idempotency key."""
        return delivery_id(self.event_id, self.subscription)


# Written out in each statement: SQLite uses a partial index only when it sees the values of its condition.
IS_OPEN = Delivery.state.in_(bindparam("open", OPEN, expanding=True, literal_execute=True))
IS_DEAD = Delivery.state == literal("dead", literal_execute=True)
IS_DONE = Delivery.state == literal("done", literal_execute=True)


def delivery_id(event_id: UUID, subscription: str) -> str:
    """`<event id>:<subscription>`: the same on every retry, redelivery and replay."""
    return f"{event_id}:{subscription}"


class Attempt(Base):
    """One failed try of a delivery."""

    __tablename__ = "attempts"
    __table_args__ = (
        ForeignKeyConstraint(["subscription", "event_id"], ["deliveries.subscription", "deliveries.event_id"]),
        Index("ix_attempts_delivery", "event_id", "subscription"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    subscription: Mapped[str] = mapped_column(String(200))
    event_id: Mapped[UUID] = mapped_column(Uuid)
    number: Mapped[int]
    send: Mapped[int]
    started_at: Mapped[datetime]
    took: Mapped[float]
    worker: Mapped[str] = mapped_column(String(200))
    error_type: Mapped[str] = mapped_column(String(200))
    message: Mapped[str] = mapped_column(Text)
    traceback: Mapped[str] = mapped_column(Text)


class SubscriptionRow(Base):
    """A subscription as the relay sees it: what workers registered, and whether an operator paused it."""

    __tablename__ = "subscriptions"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    queue: Mapped[str] = mapped_column(String(100))
    event_types: Mapped[list[str]]
    policy: Mapped[dict[str, Any]]
    batch: Mapped[int]
    first_registered: Mapped[datetime]
    last_seen: Mapped[datetime]
    paused_at: Mapped[datetime | None]
    paused_by: Mapped[str | None] = mapped_column(String(200))
    paused_why: Mapped[str | None] = mapped_column(Text)


class AuditEntry(Base):
    """Who did what to which delivery, subscription or order, when, why."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(50))
    target: Mapped[str] = mapped_column(String(300), index=True)
    why: Mapped[str] = mapped_column(Text)


class Heartbeat(Base):
    """A process that lives, so that the web can show workers and relays without a broker."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    queues: Mapped[list[str]]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    last_seen: Mapped[datetime]
    trouble: Mapped[str | None] = mapped_column(Text)


class Stray(Base):
    """A message that was no doorbell of ours, kept with its raw body."""

    __tablename__ = "strays"

    id: Mapped[int] = mapped_column(BigKey, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    queue: Mapped[str] = mapped_column(String(100))
    reason: Mapped[str] = mapped_column(String(200))
    error: Mapped[str] = mapped_column(Text)
    headers: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    discarded_at: Mapped[datetime | None]


class Pruning(Base):
    """Up to when deliveries of one type of event to one subscription were removed: a backfill begins after that."""

    __tablename__ = "prunings"

    subscription: Mapped[str] = mapped_column(String(200), primary_key=True)
    event_type: Mapped[str] = mapped_column(String(200), primary_key=True)
    until: Mapped[datetime]
