"""The mails about an order."""

import pytest
from sqlalchemy import select

from events import context, log, publish, reading, transaction
from events.admin import replays
from events.catalog import OrderCancelled, OrderShipped
from events.retry import DAY
from events.testing import Bus
from tasks import email
from tasks.email import Mail
from tests.tasks.builders import cancelled, placed, switched
from tests.tasks.mailserver import MailServer


def recorded() -> list[str]:
    with reading() as session:
        return sorted(session.scalars(select(Mail.kind)))


def text(mail_server: MailServer, subject: str) -> str:
    [mail] = [mail for mail in mail_server.mails if subject in str(mail["Subject"])]
    return str(mail.get_content())


def test_a_shipped_order_has_three_mails(bus: Bus, mail_server: MailServer) -> None:
    order = placed(MUG=2, TEE=1)
    bus.drain()

    assert mail_server.subjects == [
        f"Your order {order.number} {what}"
        for what in ("has arrived", "is confirmed", "is on its way")
    ]
    assert recorded() == ["confirmed", "received", "shipped"]
    assert mail_server.recipients == [["ada@example.org"]] * 3


def test_a_mail_shows_what_was_ordered_and_what_it_costs(bus: Bus, mail_server: MailServer) -> None:
    placed(MUG=2, TEE=1)
    bus.drain()

    for subject in ("has arrived", "is confirmed", "is on its way"):
        body = text(mail_server, subject)
        assert "Dear Ada Example" in body
        assert (
            "  2 × Blue mug   €25.00\n  1 × T-shirt M  €17.50\n  Total          €42.50\n"
            in body.replace("\r\n", "\n")
        )
        assert "To: 1 Test Street, 10115 Berlin, DE" in body


def test_a_mail_about_a_parcel_carries_its_tracking_number(
    bus: Bus, mail_server: MailServer
) -> None:
    placed()
    bus.drain()
    [shipped] = [event for event in bus.published if isinstance(event, OrderShipped)]
    assert shipped.tracking in text(mail_server, "is on its way")


def test_a_cancelled_order_has_mails_with_the_reason_and_the_refund(
    bus: Bus, mail_server: MailServer
) -> None:
    placed(LAMP=2)
    bus.drain()

    assert sorted(recorded()) == ["cancelled", "received", "refunded"]
    assert "Brass desk lamp is out of stock" in text(mail_server, "is cancelled")
    assert "We have refunded €378.00." in text(mail_server, "is refunded")


def test_deliveries_that_come_twice_send_each_mail_once(bus: Bus, mail_server: MailServer) -> None:
    bus.duplicate_messages = True
    placed()
    bus.drain()
    assert len(mail_server.mails) == 3


def test_a_mail_that_was_recorded_is_not_sent_again_by_another_event_of_the_kind(
    bus: Bus, mail_server: MailServer
) -> None:
    order = placed("tok_declined")
    bus.drain()
    [cancellation] = [event for event in bus.published if isinstance(event, OrderCancelled)]
    bus.publish(cancellation, subject=order.number)
    bus.drain()

    assert [subject for subject in mail_server.subjects if "is cancelled" in subject] == [
        f"Your order {order.number} is cancelled"
    ]


def test_a_mail_sent_again_after_a_crash_has_the_same_message_id(
    bus: Bus, mail_server: MailServer
) -> None:
    order = placed()
    with reading() as session:
        [envelope] = log.about(session, order.number)
    event = envelope.event()

    for _ in range(2):  # the worker died before it recorded the first
        with context.handling([envelope]):
            list(email.send([event], [f"{envelope.id}:email.confirm_receipt"]))  # type: ignore[list-item]

    first, second = mail_server.mails
    assert str(first["Message-ID"]).endswith("@tidings.example>")
    assert first["Message-ID"] == second["Message-ID"]


def test_each_event_of_a_batch_has_its_own_mail_or_its_own_error(
    bus: Bus, mail_server: MailServer
) -> None:
    first, second = placed(), placed()
    lost = OrderShipped(order_id="o-9", carrier="C", tracking="T1")
    shipped = lost.model_copy(update={"order_id": second.id})
    with transaction() as session:
        ids = [
            publish(session, lost, subject="ORD-9"),
            publish(session, shipped, subject=second.number),
        ]
    with reading() as session:
        created = [log.about(session, each.number)[0] for each in (first, second)]
        found = [*created, *log.read(session, [each for [each] in ids]), created[0]]
    with context.handling(found):
        answers = list(email.send([each.event() for each in found], [""] * len(found)))  # type: ignore[misc]

    assert [type(each) for each in answers] == [str, str, LookupError, str, type(None)]
    assert [subject.split()[2:] for subject in mail_server.subjects] == [
        [first.number, "has", "arrived"],
        [second.number, "has", "arrived"],
        [second.number, "is", "on", "its", "way"],
    ]


def test_no_mail_says_that_a_cancelled_order_is_shipped(bus: Bus, mail_server: MailServer) -> None:
    bus.fail_fast = False
    order = placed()
    cancelled(order)
    bus.drain()
    with transaction() as session:
        publish(
            session,
            OrderShipped(order_id=order.id, carrier="C", tracking="T1"),
            subject=order.number,
        )
    bus.drain()

    assert not [subject for subject in mail_server.subjects if "on its way" in subject]


def test_mails_wait_for_a_mail_server_that_is_down(bus: Bus, mail_server: MailServer) -> None:
    bus.fail_fast = False
    switched("email", down=True)
    placed()
    bus.drain()
    assert mail_server.mails == []

    switched("email", down=False)
    bus.advance(15)
    assert recorded() == ["confirmed", "received", "shipped"]


def test_a_mail_that_the_server_cannot_take_now_is_tried_again(
    bus: Bus, mail_server: MailServer
) -> None:
    bus.fail_fast = False
    mail_server.refuse_mails = "451 try later"
    placed()
    bus.drain()
    assert recorded() == []

    mail_server.refuse_mails = ""
    bus.advance(120)
    assert len(mail_server.mails) == 3


def test_a_mail_server_that_greylists_for_five_minutes_kills_no_mail(
    bus: Bus, mail_server: MailServer
) -> None:
    bus.fail_fast = False
    mail_server.refuse_recipients = "450 4.2.0 <ada@example.org>: greylisted, see the postmaster"
    placed()
    for _ in range(60):
        bus.advance(5)
    assert recorded() == []

    mail_server.refuse_recipients = ""
    bus.advance(160)
    assert recorded() == ["confirmed", "received", "shipped"]
    assert not [row for row in bus.deliveries() if row.state == "dead"]


def test_a_mail_is_given_up_after_five_days_of_not_now(bus: Bus, mail_server: MailServer) -> None:
    bus.fail_fast = False
    mail_server.refuse_mails = "451 4.3.0 later"
    placed()
    for _ in range(5 * 12 - 1):
        bus.advance(2 * 3600)
    mails = [row for row in bus.deliveries() if row.queue == "email"]
    assert {row.state for row in mails} == {"retrying"}

    for _ in range(2):
        bus.advance(2 * 3600)
    mails = [row for row in bus.deliveries() if row.queue == "email"]
    assert {row.state for row in mails} == {"dead"}
    assert all(row.not_now == row.attempts > 50 for row in mails)


def test_a_replayed_mail_has_all_its_time_again(bus: Bus, mail_server: MailServer) -> None:
    bus.fail_fast = False
    mail_server.refuse_mails = "550 5.7.1 no"
    placed("tok_declined")
    bus.drain()
    bus.advance(6 * DAY)
    mail_server.refuse_mails = "450 4.2.0 greylisted"
    with transaction() as session:
        replays.start(session, who="ada", why="test", queue="email")
    bus.drain()
    bus.advance(4 * DAY)

    assert {row.state for row in bus.deliveries() if row.queue == "email"} == {"retrying"}


@pytest.mark.parametrize(
    ("part", "what"), [("refuse_recipients", "the recipient"), ("refuse_mails", "the mail")]
)
def test_a_mail_that_the_server_refuses_for_good_is_dead_and_names_no_address(
    bus: Bus, mail_server: MailServer, part: str, what: str
) -> None:
    bus.fail_fast = False
    setattr(mail_server, part, "550 no such user ada@example.org")
    placed()
    bus.drain()

    dead = [row for row in bus.deliveries() if row.state == "dead"]
    assert {row.subscription for row in dead} >= {"email.confirm_receipt"}
    assert all(row.error and f"the mail server refuses {what}: 550" in row.error for row in dead)
    assert all("ada@" not in str(row.error) for row in dead)


def test_an_error_of_quit_does_not_send_a_mail_twice(bus: Bus, mail_server: MailServer) -> None:
    mail_server.quit_answer = "421 closing"
    placed()
    bus.drain()
    bus.advance(120)
    assert len(mail_server.mails) == 3


def test_without_the_order_in_the_log_no_mail_is_sent(bus: Bus, mail_server: MailServer) -> None:
    bus.fail_fast = False
    bus.publish(OrderShipped(order_id="o-9", carrier="C", tracking="T1"), subject="ORD-9")
    bus.drain()

    [row] = [row for row in bus.deliveries() if row.subscription == "email.announce_shipment"]
    assert row.state == "retrying"
    assert "the log has no order.created of order o-9" in str(row.error)
