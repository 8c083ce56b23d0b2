"""The payment sandbox: stores charges in its own table, one per key. The token sets the outcome."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ForeignKey, String, bindparam, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, clock, get_or_create_locked, reading, relaxed
from events.catalog import Money
from events.dialects import DIALECTS, dialect_of, fetch
from events.orm import BigInt, table_of
from tasks.gateways.ports import Charged, ChargeRecord, Declined, GatewayError
from tasks.gateways.sandbox import check

FLAKY_FAILURES = 2
CLOSED = "closed"  # the token of a key with which nothing can be charged


class SandboxCharge(Base):
    """The charge of one key; without a charge id nothing was charged."""

    __tablename__ = "sandbox_charges"

    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    token: Mapped[str] = mapped_column(String(64))
    amount: Mapped[BigInt]
    currency: Mapped[str] = mapped_column(String(3))
    attempts: Mapped[int]
    charge_id: Mapped[str | None] = mapped_column(String(40), unique=True)
    at: Mapped[datetime]


class SandboxRefund(Base):
    """The refund of a charge."""

    __tablename__ = "sandbox_refunds"

    charge_id: Mapped[str] = mapped_column(
        ForeignKey("sandbox_charges.charge_id"), primary_key=True
    )
    refund_id: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime]


class SandboxPayments:
    """A payment gateway without real money."""

    def charge(self, key: str, *, total: Money, token: str) -> Charged | Declined:
        """Charge `total` or fail, as the token says. A charge stands if the answer is lost."""
        with relaxed() as session:
            check(session, "payment")
            new = f"ch_{secrets.token_hex(8)}"
            row = _attempt(session, key, token, total, new if _may_charge(token, 1) else None)
            charge_id = row.charge_id
            if charge_id is None and _may_charge(row.token, row.attempts):
                charge_id = new
                session.execute(_SET_CHARGE, {"of": key, "new": charge_id})
        answer = _answer(row.token, charge_id, is_new=charge_id == new)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self, key: str) -> Charged | None:
        """Return the charge of this key; if there is none, close the key."""
        with relaxed() as session:
            check(session, "payment")
            row = get_or_create_locked(
                session, SandboxCharge, key, **_new(CLOSED, Money(amount=0, currency=""))
            )
            if row.charge_id:
                return Charged(row.charge_id)
            row.token = CLOSED
        return None

    def refund(self, key: str, *, charge_id: str) -> str:
        """Refund a charge; a repeated call returns the first refund."""
        with relaxed() as session:
            check(session, "payment")
            known = session.scalar(
                select(SandboxCharge.key).where(SandboxCharge.charge_id == charge_id)
            )
            if known is None:
                raise GatewayError(f"the payment sandbox has no charge {charge_id}")
            values = {"refund_id": f"re_{secrets.token_hex(8)}", "at": clock.now()}
            return get_or_create_locked(session, SandboxRefund, charge_id, **values).refund_id

    def charges(self, since: datetime) -> Sequence[ChargeRecord]:
        """Return the charges that were made or refunded since then, oldest first."""
        refund = SandboxCharge.charge_id == SandboxRefund.charge_id
        recent = or_(SandboxCharge.at >= since, SandboxRefund.at >= since)
        wanted = select(SandboxCharge, SandboxRefund.refund_id).outerjoin(SandboxRefund, refund)
        with reading() as session:
            check(session, "payment")
            rows = session.execute(wanted.where(recent).order_by(SandboxCharge.at)).all()
        return [
            ChargeRecord(
                key=row.key,
                charge_id=row.charge_id,
                total=Money(amount=row.amount, currency=row.currency),
                at=row.at,
                refunded=refund_id is not None,
            )
            for row, refund_id in rows
            if row.charge_id
        ]


_CHARGES = table_of(SandboxCharge)
_SET_CHARGE = (
    update(_CHARGES).where(_CHARGES.c.key == bindparam("of")).values(charge_id=bindparam("new"))
)


@cache
def _count_attempt(dialect: str) -> Any:
    row = DIALECTS[dialect].insert(_CHARGES)
    counted = {"attempts": _CHARGES.c.attempts + 1}
    counted_row = row.on_conflict_do_update(index_elements=[_CHARGES.c.key], set_=counted)
    return counted_row.returning(_CHARGES.c.token, _CHARGES.c.attempts, _CHARGES.c.charge_id)


def _attempt(session: Session, key: str, token: str, total: Money, charge_id: str | None) -> Any:
    """Count an attempt in the row of the key, locked; insert it, charged, if there is none."""
    values = {"key": key, **_new(token, total), "attempts": 1, "charge_id": charge_id}
    statement = _count_attempt(dialect_of(session).name)
    [row] = fetch(session.connection(), statement, values)
    return row


def _new(token: str, total: Money) -> dict[str, Any]:
    return {
        "token": token,
        "amount": total.amount,
        "currency": total.currency,
        "attempts": 0,
        "at": clock.now(),
    }


def _may_charge(token: str, attempts: int) -> bool:
    match token:
        case "tok_ok" | "tok_lost_answer":
            return True
        case "tok_flaky":
            return attempts > FLAKY_FAILURES
    return False


def _answer(token: str, charge_id: str | None, *, is_new: bool) -> Charged | Declined | Exception:
    """Return the answer of an attempt, which has made the charge if it `is_new`."""
    if token == CLOSED:
        return Declined("this key was closed: its order was cancelled")
    match token:
        case "tok_declined":
            return Declined("the card was declined")
        case "tok_flaky" if charge_id is None:
            return ConnectionError("payment sandbox: connection reset")
        case "tok_lost_answer" if is_new:
            return ConnectionError("payment sandbox: the answer was lost")
        case "tok_broken":
            return GatewayError("payment sandbox: 500 for this card")
    return Declined("the card is unknown") if charge_id is None else Charged(charge_id)
