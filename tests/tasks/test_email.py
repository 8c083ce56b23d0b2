import pytest
from sqlalchemy import select

from events import Database, clock, log, publish, reading, transaction
from events.catalog import OrderCancelled, OrderShipped
from events.testing import Bus
from tasks import email
from tasks.gateways.ports import GatewayDown
from tasks.gateways.smtp import SmtpMailer
from tasks.mail_texts import Mail, compose, news
from tasks.settings import settings
from tests.servers import free_port
from tests.tasks.builders import cancelled, order_cancelled, order_created, placed, switched
from tests.tasks.mailserver import MailServer


def recorded() -> list[str]:
    with reading() as session:
        return sorted(session.scalars(select(Mail.kind)))


def text(mail_server: MailServer, subject: str) -> str:
    [mail] = [mail for mail in mail_server.mails if subject in str(mail["Subject"])]
    return str(mail.get_content())


def test_an_order_that_goes_all_the_way_is_told_of_three_times(
    bus: Bus, mail_server: MailServer
) -> None:
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


def test_a_cancelled_order_is_told_of_with_the_reason_and_the_refund(
    bus: Bus, mail_server: MailServer
) -> None:
    placed(LAMP=2)
    bus.drain()

    assert sorted(recorded()) == ["cancelled", "received", "refunded"]
    assert "Brass desk lamp is out of stock" in text(mail_server, "is cancelled")
    assert "We have given €378.00 back to you." in text(mail_server, "is refunded")


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
    [told] = [event for event in bus.published if isinstance(event, OrderCancelled)]
    bus.publish(told, subject=order.number)
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
        email.send(event, f"{envelope.id}:email.confirm_receipt")  # type: ignore[arg-type]

    first, second = mail_server.mails
    assert str(first["Message-ID"]).endswith("@tidings.example>")
    assert first["Message-ID"] == second["Message-ID"]


def test_a_customer_whose_order_was_cancelled_is_not_told_that_it_is_on_its_way(
    bus: Bus, mail_server: MailServer
) -> None:
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


def test_a_bad_farewell_does_not_send_a_mail_twice(bus: Bus, mail_server: MailServer) -> None:
    mail_server.farewell = "421 leave me alone"
    placed()
    bus.drain()
    bus.advance(120)
    assert len(mail_server.mails) == 3


def test_a_mail_server_that_nobody_runs_is_an_outage(
    database: Database, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{free_port()}")
    settings.cache_clear()
    with pytest.raises(GatewayDown, match="cannot be used: ConnectionRefusedError"):
        SmtpMailer().send(
            compose(order_created(), order_created(), key="e:email.x", at=clock.now())
        )


def test_a_server_that_takes_no_login_is_an_outage_too(
    database: Database, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", mail_server.url.replace("smtp://", "smtp://ada:secret%40@"))
    settings.cache_clear()
    with pytest.raises(GatewayDown, match="cannot be used: SMTPNotSupportedError"):
        SmtpMailer().send(
            compose(order_created(), order_created(), key="e:email.x", at=clock.now())
        )
    assert mail_server.mails == []


@pytest.mark.parametrize("url", ["127.0.0.1:25", "http://127.0.0.1", "smtp://"])
def test_an_address_of_a_mail_server_that_makes_no_sense_is_said_so(
    database: Database, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SMTP_URL", url)
    settings.cache_clear()
    with pytest.raises(ValueError, match="write smtp://host:port"):
        SmtpMailer().send(
            compose(order_created(), order_created(), key="e:email.x", at=clock.now())
        )


def test_a_name_from_elsewhere_reaches_the_customer_unharmed(
    database: Database, mail_server: MailServer
) -> None:
    order = order_created().model_copy(update={"customer": "Žofie, <b>Nováková</b>"})
    SmtpMailer().send(compose(order, order, key="e:email.x", at=clock.now()))

    [mail] = mail_server.mails
    assert mail["To"].addresses[0].display_name == "Žofie, <b>Nováková</b>"
    assert mail["To"].addresses[0].addr_spec == "ada@example.org"
    assert mail.get_content_type() == "text/plain"
    assert mail_server.recipients == [["ada@example.org"]]


@pytest.mark.parametrize(
    "change",
    [
        {"email": "a@x.io, v@y.io"},
        {"email": "a@x.io\r\nBcc: v@y.io"},
        {"customer": "Ada\r\nBcc: v@y.io"},
    ],
)
def test_one_field_never_reaches_two_people(change: dict[str, str]) -> None:
    order = order_created().model_copy(update=change)
    with pytest.raises(ValueError, match=r".+"):
        compose(order, order, key="e:email.x", at=clock.now())


def test_an_event_without_a_mail_is_said_to_have_none() -> None:
    with pytest.raises(TypeError, match="no mail about"):
        news.dispatch(object)(order_created())


def test_an_order_of_old_without_an_address_is_written_to_without_one() -> None:
    old = order_created().model_copy(update={"shipping_address": None})
    assert (
        "To:" not in compose(order_cancelled(), old, key="e:email.x", at=clock.now()).get_content()
    )


def test_nobody_is_written_to_when_the_log_does_not_know_the_order(
    bus: Bus, mail_server: MailServer
) -> None:
    bus.fail_fast = False
    bus.publish(OrderShipped(order_id="o-9", carrier="C", tracking="T1"), subject="ORD-9")
    bus.drain()

    [row] = [row for row in bus.deliveries() if row.subscription == "email.announce_shipment"]
    assert row.state == "retrying"
    assert "the log holds no order.created for order o-9" in str(row.error)
