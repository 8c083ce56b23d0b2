"""The tables of the audit: its lines, and the end of their chain."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text, text, true
from sqlalchemy.orm import Mapped, mapped_column

from events.orm import Base, BigIntPK


class AuditEntry(Base):
    """One act of an operator or customer, or a later slice of it; see `events.admin.audit`."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_role", "role", "id"),)

    id: Mapped[int] = mapped_column(BigIntPK, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    role: Mapped[str] = mapped_column(String(10), server_default="operator")
    who: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(50))
    target: Mapped[str] = mapped_column(String(300), index=True)
    why: Mapped[str] = mapped_column(Text)
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    part_of: Mapped[int | None] = mapped_column(BigInteger, index=True)  # the line of a slice's act
    count: Mapped[int | None] = mapped_column(BigInteger)  # rows changed so far, of a bulk act
    ends: Mapped[bool] = mapped_column(server_default=true())  # nothing follows of its act
    salt: Mapped[str] = mapped_column(String(32), server_default="")
    digest: Mapped[str] = mapped_column(String(64), server_default="")  # of the texts
    hash: Mapped[str] = mapped_column(String(64), server_default="")  # of the rest, chained


class AuditHead(Base):
    """The end of the chain of the audit's lines: the last id and its hash."""

    __tablename__ = "audit_head"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
