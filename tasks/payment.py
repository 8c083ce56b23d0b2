"""The payment service: charges the card of a new order and refunds a cancelled one."""

from sqlalchemy import String, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, get_or_create_locked, reading, subscribe
from events.catalog import (
    Money,
    OrderCancelled,
    OrderCreated,
    OrderEvent,
    PaymentCharged,
    PaymentFailed,
    PaymentOrphaned,
    PaymentRefunded,
)
from events.database import looking
from events.dialects import fetch
from events.orm import BigInt, table_of, upsert
from tasks import gateways
from tasks.gateways.ports import RETRY_POLICY, Charged, Declined


class Charge(Base):
    """The payment of an order.

    `open`, then `charged`, `declined` or `refunded`; `cancelled` if the cancellation came first.
    """

    __tablename__ = "charges"

    order_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    charge_id: Mapped[str | None] = mapped_column(String(100))
    amount: Mapped[BigInt | None]
    currency: Mapped[str | None] = mapped_column(String(3))

    @property
    def total(self) -> Money:
        """The amount that was charged."""
        assert self.amount is not None
        assert self.currency is not None
        return Money(amount=self.amount, currency=self.currency)


_CHARGES = table_of(Charge).c
_STATE = select(_CHARGES.state).where(_CHARGES.order_id == bindparam("order_id"))


def charge(event: OrderCreated, key: str) -> Charged | Declined | None:
    """Charge the card. Of a cancelled order, close the key instead.

    An earlier attempt may have charged the card, or may still be in progress.
    """
    with looking() as connection:
        rows = fetch(connection, _STATE, {"order_id": event.order_id})
    if rows and rows[0].state == "cancelled":
        return gateways.payments().close(key)
    return gateways.payments().charge(key, total=event.total, token=event.payment_token)


@subscribe(OrderCreated, queue="payment", call=charge, retry=RETRY_POLICY, depends_on="payment")
def charge_order(
    event: OrderCreated, session: Session, answer: Charged | Declined | None
) -> PaymentCharged | PaymentFailed | None:
    """Record the gateway's answer.

    A charge that crossed with a cancellation is published, too: `PaymentOrphaned` then refunds it.
    """
    if answer is None:
        return None
    order_id, total = event.order_id, event.total
    if isinstance(answer, Declined):
        upsert(session, Charge, {"order_id": order_id, "state": "declined"}, later=True)
        return PaymentFailed(order_id=order_id, reason=answer.reason)
    row = {"order_id": order_id, "state": "charged", "charge_id": answer.charge_id}
    money = {"amount": total.amount, "currency": total.currency}
    upsert(session, Charge, row | money, later=True)
    return PaymentCharged(order_id=order_id, charge_id=answer.charge_id, total=total)


def request_refund(event: OrderEvent, key: str) -> str | None:
    """Have the gateway refund the charge, if there is one."""
    with reading() as session:
        known = session.get(Charge, event.order_id)
    if known is None or known.state != "charged" or known.charge_id is None:
        return None
    return gateways.payments().refund(key, charge_id=known.charge_id)


@subscribe(
    OrderCancelled,
    PaymentOrphaned,
    queue="payment",
    call=request_refund,
    retry=RETRY_POLICY,
    depends_on="payment",
)
def refund(event: OrderEvent, session: Session, refund_id: str | None) -> PaymentRefunded | None:
    """Record and publish the refund once. If nothing is charged yet, record that nothing shall be.

    A charge made after `request_refund` looked is not refunded here: its `PaymentCharged` finds the
    order cancelled, and the `PaymentOrphaned` that follows has it refunded.
    """
    row = get_or_create_locked(session, Charge, event.order_id, state="open")
    if row.state == "open":
        row.state = "cancelled"
    if row.state != "charged" or refund_id is None or row.charge_id is None:
        return None
    row.state = "refunded"
    return PaymentRefunded(order_id=event.order_id, charge_id=row.charge_id, total=row.total)
