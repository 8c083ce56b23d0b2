"""The payment sandbox: charges in a table of its own, one per key, and cards that behave as their token says."""

import secrets
from datetime import datetime

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, mapped_column

from events import Base, clock, get_or_create_locked, transaction
from events.catalog import Money
from tasks.gateways.ports import Charged, Declined, GatewayError
from tasks.gateways.sandbox import check

FLAKY_FAILURES = 2
CLOSED = "closed"


class SandboxCharge(Base):
    """One key's charge as the sandbox keeps it; without a charge id nothing was taken."""

    __tablename__ = "sandbox_charges"

    key: Mapped[str] = mapped_column(String(300), primary_key=True)
    token: Mapped[str] = mapped_column(String(64))
    amount: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    tries: Mapped[int]
    charge_id: Mapped[str | None] = mapped_column(String(40), unique=True)
    at: Mapped[datetime]


class SandboxRefund(Base):
    """A charge that was given back."""

    __tablename__ = "sandbox_refunds"

    charge_id: Mapped[str] = mapped_column(
        ForeignKey("sandbox_charges.charge_id"), primary_key=True
    )
    refund_id: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime]


class SandboxPayments:
    """A payment gateway that takes no real money."""

    def charge(self, key: str, *, total: Money, token: str) -> Charged | Declined:
        """Take `total` as the token's script says. What was taken stays taken even if the answer is lost."""
        with transaction() as session:
            check(session, "payment")
            first = {
                "token": token,
                "amount": total.amount,
                "currency": total.currency,
                "tries": 0,
                "at": clock.now(),
            }
            row = get_or_create_locked(session, SandboxCharge, key, **first)
            row.tries += 1
            answer = _answer(row)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self, key: str) -> Charged | None:
        """What was taken with this key; if nothing was, the key is used up."""
        with transaction() as session:
            check(session, "payment")
            row = get_or_create_locked(
                session,
                SandboxCharge,
                key,
                token=CLOSED,
                amount=0,
                currency="",
                tries=0,
                at=clock.now(),
            )
            if row.charge_id:
                return Charged(row.charge_id)
            row.token = CLOSED
        return None

    def refund(self, key: str, *, charge_id: str) -> str:
        """Give a charge back; a second time finds the first refund."""
        with transaction() as session:
            check(session, "payment")
            known = session.scalar(
                select(SandboxCharge.key).where(SandboxCharge.charge_id == charge_id)
            )
            if known is None:
                raise GatewayError(f"the payment sandbox knows no charge {charge_id}")
            return get_or_create_locked(
                session,
                SandboxRefund,
                charge_id,
                refund_id=f"re_{secrets.token_hex(8)}",
                at=clock.now(),
            ).refund_id


def _answer(row: SandboxCharge) -> Charged | Declined | Exception:
    match row.token:
        case "tok_ok":
            return _take(row)
        case "tok_declined":
            return Declined("the card was declined")
        case "tok_flaky" if row.tries <= FLAKY_FAILURES:
            return ConnectionError("payment sandbox: connection reset")
        case "tok_flaky":
            return _take(row)
        case "tok_lost_answer" if row.charge_id is None:
            _take(row)
            return ConnectionError("payment sandbox: the answer was lost")
        case "tok_lost_answer":
            return _take(row)
        case "tok_broken":
            return GatewayError("payment sandbox: 500 for this card")
        case "closed":
            return Declined("this key was closed: its order was cancelled")
        case _:
            return Declined("the card is unknown")


def _take(row: SandboxCharge) -> Charged:
    """Take the money, or find that it was taken before with this key."""
    row.charge_id = row.charge_id or f"ch_{secrets.token_hex(8)}"
    return Charged(row.charge_id)
