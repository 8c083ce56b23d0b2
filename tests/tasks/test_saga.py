"""Random events in a random order: every order ends, and the sums are right."""

import random
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select
from sqlalchemy.orm import Session

import events.database
from events import Database, reading, transaction
from events.admin import replays
from events.errors import NothingToReplay
from events.testing import Bus
from tasks import orders
from tasks.email import Mail
from tasks.errors import NotCancellable
from tasks.gateways import NAMES
from tasks.gateways.payment import SandboxCharge, SandboxRefund
from tasks.gateways.shipping import SandboxParcel
from tasks.inventory import Movement, Reservation, stock_levels
from tasks.orders import Order
from tests.tasks.builders import cancelled, placed, stocked, switched
from tests.tasks.conftest import shop
from tests.tasks.mailserver import MailServer

TOKENS = ("tok_ok", "tok_ok", "tok_declined", "tok_flaky", "tok_lost_answer", "tok_broken")
STOCK = {"MUG": 6, "TEE": 4, "LAMP": 1}


def check_sums(session: Session) -> None:
    """Check the invariants that hold at any moment."""
    moved = session.execute(
        select(Movement.sku, func.sum(Movement.quantity)).group_by(Movement.sku)
    )
    assert stock_levels(session) == {sku: int(total) for sku, total in moved}
    assert all(available >= 0 for available in stock_levels(session).values())
    assert all(count == 1 for count in Counter(session.scalars(select(SandboxCharge.key))).values())


def check_ends(session: Session) -> None:
    """Check the invariants that hold when every delivery is handled."""
    every = {order.id: order for order in orders.listed(session, 1000)}
    assert {order.status for order in every.values()} <= {"shipped", "cancelled"}
    shipped = [order for order in every.values() if order.status == "shipped"]
    assert _held(session) == {order.id for order in shipped}
    assert _kept(session) == sum(order.total_amount for order in shipped)
    gone = [
        parcel for parcel in session.scalars(select(SandboxParcel)) if parcel.recalled_at is None
    ]
    assert len(gone) == len(shipped)
    assert stock_levels(session) == _left(shipped)
    _check_fields(every.values())


def _held(session: Session) -> set[str]:
    return set(session.scalars(select(Reservation.order_id).where(Reservation.state == "reserved")))


def _kept(session: Session) -> int:
    """Return the sum of the charges that the gateway has not refunded."""
    refunded = select(SandboxRefund.charge_id)
    charged = select(func.sum(SandboxCharge.amount)).where(
        SandboxCharge.charge_id.is_not(None), SandboxCharge.charge_id.not_in(refunded)
    )
    return int(session.scalar(charged) or 0)


def _left(shipped: list[Order]) -> dict[str, int]:
    left = Counter(STOCK)
    for order in shipped:
        left.subtract({line.sku: line.quantity for line in order.lines})
    return dict(left)


def _check_fields(every: Iterable[Order]) -> None:
    for order in every:
        if order.status == "shipped":
            assert (order.stock, order.payment, order.shipment) == (
                "reserved",
                "charged",
                "shipped",
            )
        else:
            assert order.reason
            assert order.stock in ("waiting", "failed", "released")
            assert order.payment in ("waiting", "failed", "refunded")
            assert order.shipment == "cancelled"


class Shop(RuleBasedStateMachine):
    """Customers, an operator and a bus that duplicates and shuffles its messages."""

    placed_orders = Bundle("placed_orders")

    def __init__(self, mail_server: MailServer) -> None:
        super().__init__()
        mail_server.empty()
        self.mail_server = mail_server
        self.hopeless: set[str] = set()
        self.folder = TemporaryDirectory()
        self.database = Database(f"sqlite:///{Path(self.folder.name) / 'shop.sqlite'}")
        self.bus = Bus(self.database, shop(), fail_fast=False).__enter__()
        with transaction() as session:
            stocked(session, **STOCK)

    @rule(
        target=placed_orders,
        token=st.sampled_from(TOKENS),
        basket=st.dictionaries(st.sampled_from(list(STOCK)), st.integers(1, 3), min_size=1),
    )
    def place(self, token: str, basket: dict[str, int]) -> Order:
        order = placed(token, **basket)
        if token == "tok_broken":
            self.hopeless.add(order.id)
        return order

    @rule(order=placed_orders)
    def cancel(self, order: Order) -> None:
        try:
            cancelled(order)
        except NotCancellable as error:
            assert "already" in str(error)  # noqa: PT017  either way is right

    @rule(name=st.sampled_from(NAMES), down=st.booleans())
    def switch(self, name: str, down: bool) -> None:
        switched(name, down=down)

    @rule(seed=st.integers(0, 1000), twice=st.booleans())
    def deliver(self, seed: int, twice: bool) -> None:
        self.bus.shuffle, self.bus.duplicate_messages = random.Random(seed), twice
        self.bus.drain()

    @rule(seconds=st.sampled_from([1, 5, 20]))
    def wait(self, seconds: int) -> None:
        self.bus.advance(seconds)

    @invariant()
    def sums_are_right(self) -> None:
        with reading() as session:
            check_sums(session)

    def teardown(self) -> None:
        try:
            self._end_well()
        finally:
            self.bus.__exit__(None, None, None)
            events.database.use(None)
            self.database.close()
            self.folder.cleanup()

    def _end_well(self) -> None:
        """Mend everything, cancel orders that no card pays, replay dead letters: all must end."""
        for name in NAMES:
            switched(name, down=False)
        self._settle()
        with reading() as session:
            waiting = [
                order
                for order in orders.listed(session, 1000)
                if order.status == "placed" and order.id in self.hopeless
            ]
        for order in waiting:
            cancelled(order)
        with suppress(NothingToReplay), transaction() as session:
            replays.start(session, who="test", why="test", everything=True)
        self._settle()
        assert {delivery.state for delivery in self.bus.deliveries()} <= {"done"}
        with reading() as session:
            check_sums(session)
            check_ends(session)
            assert len(session.scalars(select(Mail.kind)).all()) == len(self.mail_server.mails)

    def _settle(self) -> None:
        for _ in range(60):
            self.bus.advance(30)
            if all(delivery.state in ("done", "dead") for delivery in self.bus.deliveries()):
                return
        raise AssertionError("something never settles")


@pytest.mark.timeout(600)  # when it fails, hypothesis takes its time to find the shortest way there
def test_every_order_ends_and_every_effect_happens_once(mail_server: MailServer) -> None:
    run_state_machine_as_test(
        lambda: Shop(mail_server),  # type: ignore[arg-type]  # any callable that makes one will do
        settings=settings(
            max_examples=8,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_busy_hour_on_both_databases_ends_well(any_bus: Bus, mail_server: MailServer) -> None:
    any_bus.fail_fast = False
    any_bus.duplicate_messages, any_bus.shuffle = True, random.Random(7)
    made = [placed(TOKENS[number % 5], MUG=1) for number in range(10)]
    for number, order in enumerate(made):
        if number % 4 == 0:
            any_bus.drain()
        if number % 5 == 0:
            try:
                cancelled(order)
            except NotCancellable:
                continue
    for _ in range(10):
        any_bus.advance(20)

    with reading() as session:
        check_sums(session)
        every = orders.listed(session)
        assert {order.status for order in every} == {"shipped", "cancelled"}
        assert _kept(session) == sum(
            order.total_amount for order in every if order.status == "shipped"
        )
