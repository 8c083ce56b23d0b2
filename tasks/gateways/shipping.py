"""The shipping sandbox: parcels in a table of its own, one per key."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, mapped_column

from events import Base, clock, get_or_create_locked, transaction
from events.catalog import Address, Line
from tasks.gateways.ports import GatewayError, Parcel
from tasks.gateways.sandbox import check

CARRIER = "Sandbox Parcel"


class SandboxParcel(Base):
    """One parcel that the sandbox took."""

    __tablename__ = "sandbox_parcels"

    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    tracking: Mapped[str] = mapped_column(String(40), unique=True)
    country: Mapped[str] = mapped_column(String(2))
    pieces: Mapped[int]
    at: Mapped[datetime]
    recalled_at: Mapped[datetime | None]

    @property
    def closed(self) -> bool:
        """Whether it stands for a key with which nothing is taken any more."""
        return self.pieces == 0


class SandboxCarrier:
    """A carrier that moves nothing."""

    def hand_over(self, key: str, *, address: Address, lines: Sequence[Line]) -> Parcel:
        """Take one parcel per key."""
        with transaction() as session:
            check(session, "shipping")
            tracking = f"TD{secrets.randbelow(10**12):012d}"
            pieces = sum(line.quantity for line in lines)
            first = {
                "tracking": tracking,
                "country": address.country,
                "pieces": pieces,
                "at": clock.now(),
            }
            row = get_or_create_locked(session, SandboxParcel, key, **first)
            if row.closed:
                raise GatewayError("this key was closed: its order was cancelled")
            return Parcel(CARRIER, row.tracking)

    def close(self, key: str) -> Parcel | None:
        """The parcel that was given with this key; if none was, the key is used up."""
        with transaction() as session:
            check(session, "shipping")
            now, nothing = clock.now(), f"closed-{secrets.token_hex(12)}"
            row = get_or_create_locked(
                session,
                SandboxParcel,
                key,
                tracking=nothing,
                country="",
                pieces=0,
                at=now,
                recalled_at=now,
            )
            return None if row.closed else Parcel(CARRIER, row.tracking)

    def call_back(self, key: str, *, tracking: str) -> None:
        """Bring a parcel back; a second time changes nothing."""
        with transaction() as session:
            check(session, "shipping")
            parcel = session.scalar(select(SandboxParcel).where(SandboxParcel.tracking == tracking))
            if parcel is None:
                raise GatewayError(f"the shipping sandbox knows no parcel {tracking}")
            parcel.recalled_at = parcel.recalled_at or clock.now()
