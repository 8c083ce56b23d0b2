"""Erasure of a customer from orders, events, deliveries and mails."""

from pathlib import Path

import pytest
from sqlalchemy import select

from events import reading, transaction
from events.admin import audit, replays, subscriptions
from events.catalog import OrderCreated, OrderCreatedV1
from events.personal import ERASED_EMAIL
from events.tables import Attempt, Delivery
from events.testing import Bus
from tasks import orders
from tasks.erasure import OpenOrders
from tasks.inventory import stock_levels
from tests.tasks import builders
from tests.tasks.builders import found
from tests.tasks.grace import EMAIL, NAME, STREET, erase, everything, known, placed
from tests.tasks.mailserver import MailServer


def test_nothing_that_tells_of_the_customer_is_left_and_everything_else_is(
    any_bus: Bus, mail_server: MailServer, mail_dir: Path
) -> None:
    grace, ada = placed(MUG=2), builders.placed()
    any_bus.drain()
    cancelled = placed(LAMP=2, email=EMAIL.upper())
    any_bus.drain()
    for number, mail in enumerate(mail_server.mails):
        (mail_dir / f"{number}.eml").write_bytes(mail.as_bytes())
    mails, stock, events = len(mail_server.mails), _stock_levels(), len(any_bus.published)

    counts = erase(EMAIL.lower())

    assert known() == []
    assert counts["orders"] == 2
    assert counts["mail files"] == 6
    assert len(list(mail_dir.glob("*.eml"))) == mails - 6
    after, other = found(grace), found(ada)
    kept = (grace.number, "shipped", grace.total, grace.lines)
    assert (after.number, after.status, after.total, after.lines) == kept
    assert (found(cancelled).status, found(cancelled).email) == ("cancelled", ERASED_EMAIL)
    assert (other.customer, other.token) == ("Ada Example", ada.token)
    assert (_stock_levels(), len(any_bus.published)) == (stock, events)
    created = _created(any_bus, grace.id)
    assert created.total == grace.total
    assert created.shipping_address is not None
    assert created.shipping_address.country == "US"
    assert after.token != grace.token


def _created(bus: Bus, order_id: str) -> OrderCreated:
    published = [each for each in bus.published if isinstance(each, OrderCreated)]
    [created] = [each for each in published if each.order_id == order_id]
    return created


def _stock_levels() -> dict[str, int]:
    with reading() as session:
        return stock_levels(session)


def test_a_second_time_nothing_is_changed(bus: Bus) -> None:
    placed()
    bus.drain()
    assert any(erase().values())
    before = everything(but="audit")

    assert not any(erase().values())
    assert everything(but="audit") == before


def test_failures_dead_letters_and_what_people_wrote_are_erased(
    any_bus: Bus, mail_server: MailServer
) -> None:
    any_bus.fail_fast = False
    order = placed("tok_declined")
    mail_server.refuse_mails = f"550 no mail for {NAME} at {EMAIL}"
    any_bus.drain()
    with transaction() as session:
        dead = _receipt(any_bus)
        session.execute(dead.__table__.update().values(error=f"SMTPError: {NAME} <{EMAIL}>"))
        for attempt in session.scalars(select(Attempt)):
            attempt.message = attempt.traceback = f"no mail for {NAME}, {STREET}"
        for action, target, why in (
            ("replay", dead.id, f"{NAME} called"),
            ("cancel", order.number, f"lives in {STREET} no more"),
            ("pause", "payment.refund", f"complaint of {EMAIL}"),
        ):
            audit.record(session, who="ada", action=action, target=target, why=why)
        subscriptions.pause(
            session, "payment.refund", who="ada", why=f"complaint of {EMAIL.upper()}"
        )
    assert known() != []

    erase()

    assert known() == []
    kept = _receipt(any_bus)
    assert (kept.state, kept.error) == ("dead", "erased")
    assert "TD" not in str(kept.fingerprint)


def _receipt(bus: Bus) -> Delivery:
    [found] = [row for row in bus.deliveries() if row.subscription == "email.confirm_receipt"]
    return found


def test_a_dead_letter_that_is_replayed_afterwards_writes_to_nobody(
    bus: Bus, mail_server: MailServer
) -> None:
    bus.fail_fast = False
    placed("tok_declined")
    mail_server.refuse_mails = "550 no"
    bus.drain()
    erase()
    mail_server.empty()

    with transaction() as session:
        replays.start(session, who="ada", why="test", everything=True)
    bus.advance(60)

    assert mail_server.mails == []
    assert {row.state for row in bus.deliveries()} == {"done"}


def test_an_order_of_the_first_version_can_still_be_read(any_bus: Bus) -> None:
    old = OrderCreatedV1(
        order_id="o-1",
        number="ORD-1",
        customer=NAME,
        email=EMAIL,
        lines=placed().lines,
        total="25.00",
        payment_token="tok_declined",
    )
    any_bus.publish(old, subject="ORD-1")
    any_bus.drain()

    erase(force=True)

    assert known() == []
    [event] = [
        event
        for event in any_bus.published
        if isinstance(event, OrderCreated) and event.order_id == "o-1"
    ]
    assert (event.customer, event.email, event.total.amount, event.total.currency) == (
        "erased",
        ERASED_EMAIL,
        2500,
        "USD",
    )


def test_who_is_only_mentioned_in_anothers_order_is_erased_there_and_the_other_is_not(
    any_bus: Bus,
) -> None:
    placed()
    any_bus.drain()
    other = builders.placed()
    with transaction() as session:
        orders.cancel(session, other.id, reason=f"the same as {EMAIL.lower()}", who="ada")
    any_bus.drain()

    erase()

    text = everything()
    assert EMAIL.lower() not in text
    assert found(other).email == "ada@example.org"
    assert "the same as erased" in text


def test_an_order_that_has_not_ended_is_refused_by_its_number(bus: Bus) -> None:
    bus.fail_fast = False
    order = placed("tok_broken")
    bus.drain()
    before = everything()

    with pytest.raises(
        OpenOrders, match=f"{order.number} of this customer has not ended; .* --force"
    ):
        erase()

    assert everything() == before


def test_with_force_an_order_goes_on_without_a_name_and_pays_and_sends_nothing(
    bus: Bus, mail_server: MailServer
) -> None:
    bus.fail_fast = False
    order = placed("tok_ok")
    with transaction() as session:
        subscriptions.pause(session, "shipping.dispatch_shipment", who="ada", why="test")
    bus.drain()
    unpaid = placed("tok_ok")
    mail_server.empty()

    erase(force=True)
    with transaction() as session:
        subscriptions.resume(session, "shipping.dispatch_shipment", who="ada", why="test")
    bus.advance(60)

    assert known() == []
    assert (found(unpaid).status, found(unpaid).reason) == (
        "cancelled",
        "payment failed: the card is unknown",
    )
    assert found(order).status == "confirmed"
    [dead] = [row for row in bus.deliveries() if row.state == "dead"]
    assert "its customer was erased; cancel it" in str(dead.error)
    assert mail_server.mails == []
