"""The shipping sandbox: stores parcels in its own table, one per key."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, or_, select
from sqlalchemy.orm import Mapped, mapped_column

from events import Base, clock, get_or_create_locked, reading, relaxed
from events.catalog import Address, Line
from events.orm import insert_or_lock
from tasks.gateways.ports import GatewayError, Parcel, ParcelRecord
from tasks.gateways.sandbox import check

CARRIER = "Sandbox Parcel"


class SandboxParcel(Base):
    """The parcel of one key. A closed key has a parcel without pieces."""

    __tablename__ = "sandbox_parcels"

    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    tracking: Mapped[str] = mapped_column(String(40), unique=True)
    country: Mapped[str] = mapped_column(String(2))
    pieces: Mapped[int]
    at: Mapped[datetime]
    recalled_at: Mapped[datetime | None]

    @property
    def closed(self) -> bool:
        """True if the key is closed: no parcel can be handed over with it."""
        return self.pieces == 0


class SandboxCarrier:
    """A carrier without vehicles."""

    def hand_over(self, key: str, *, address: Address, lines: Sequence[Line]) -> Parcel:
        """Accept one parcel per key."""
        with relaxed() as session:
            check(session, "shipping")
            row = insert_or_lock(
                session,
                SandboxParcel,
                key,
                tracking=f"TD{secrets.randbelow(10**12):012d}",
                country=address.country,
                pieces=sum(line.quantity for line in lines),
                at=clock.now(),
            )
            if row.pieces == 0:
                raise GatewayError("this key was closed: its order was cancelled")
            return Parcel(CARRIER, row.tracking)

    def close(self, key: str) -> Parcel | None:
        """Return the parcel of this key; if there is none, close the key."""
        with relaxed() as session:
            check(session, "shipping")
            now = clock.now()
            row = get_or_create_locked(
                session,
                SandboxParcel,
                key,
                tracking=f"closed-{secrets.token_hex(12)}",
                country="",
                pieces=0,
                at=now,
                recalled_at=now,
            )
            return None if row.closed else Parcel(CARRIER, row.tracking)

    def recall(self, key: str, *, tracking: str) -> None:
        """Bring a parcel back; a repeated call changes nothing."""
        with relaxed() as session:
            check(session, "shipping")
            parcel = session.scalar(select(SandboxParcel).where(SandboxParcel.tracking == tracking))
            if parcel is None:
                raise GatewayError(f"the shipping sandbox has no parcel {tracking}")
            parcel.recalled_at = parcel.recalled_at or clock.now()

    def parcels(self, since: datetime) -> Sequence[ParcelRecord]:
        """Return the parcels that were handed over or recalled since then, oldest first."""
        recent = or_(SandboxParcel.at >= since, SandboxParcel.recalled_at >= since)
        with reading() as session:
            check(session, "shipping")
            rows = session.scalars(select(SandboxParcel).where(recent).order_by(SandboxParcel.at))
            return [
                ParcelRecord(row.key, row.tracking, row.at, recalled=row.recalled_at is not None)
                for row in rows
                if not row.closed
            ]
