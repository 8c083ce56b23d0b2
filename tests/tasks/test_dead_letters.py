"""The alerts about dead letters."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from events import reading
from events.catalog import DeliveryDead
from events.testing import Bus
from tasks.dead_letters import Alert
from tasks.settings import settings
from tests.tasks.builders import placed, switched
from tests.tasks.mailserver import MailServer


@pytest.fixture
def operator(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """Set `OPERATOR_EMAIL`, and return the mail server."""
    monkeypatch.setenv("OPERATOR_EMAIL", "ops@example.org")
    settings.cache_clear()
    yield mail_server
    settings.cache_clear()


def dead(
    bus: Bus, times: int = 1, fingerprint: str = "GatewayError at tasks/payment.py:charge"
) -> None:
    for number in range(times):
        bus.publish(
            DeliveryDead(
                subscription="payment.charge_order",
                queue="payment",
                event_id=f"e-{number}",
                event_type="order.created",
                attempts=8,
                fingerprint=fingerprint,
            )
        )
    bus.drain()


def alerts() -> list[Alert]:
    with reading() as session:
        return list(session.scalars(select(Alert)))


def test_a_dead_letter_is_an_error_in_the_log(bus: Bus) -> None:
    with capture_logs() as lines:
        dead(bus)
    [line] = [line for line in lines if line["event"] == "dead_letter.alert"]
    assert line["log_level"] == "error"
    assert (line["subscription"], line["event_id"], line["attempts"]) == (
        "payment.charge_order",
        "e-0",
        8,
    )


def test_a_card_that_breaks_the_gateway_raises_the_alert(bus: Bus) -> None:
    bus.fail_fast = False
    placed("tok_broken")
    bus.drain()
    for _ in range(45):
        bus.advance(1)
    [alert] = alerts()
    assert alert.cause.startswith("payment.charge_order: ")


def test_nobody_is_written_to_unless_an_operator_is_named(
    bus: Bus, mail_server: MailServer
) -> None:
    dead(bus)
    assert mail_server.mails == []
    assert alerts()[0].mailed_at is None


def test_the_operator_is_told_what_died_and_what_to_do(operator: MailServer, bus: Bus) -> None:
    dead(bus)
    [mail] = operator.mails
    assert mail["To"] == "ops@example.org"
    assert mail["Subject"] == "Dead letter: payment.charge_order"
    assert "tidings dead-letters replay e-0:payment.charge_order" in mail.get_content()


def test_the_alert_links_to_the_page_of_the_dead_letter(
    operator: MailServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://shop.example.com")
    settings.cache_clear()
    dead(bus)

    page = "https://shop.example.com/ops/dead-letters/e-0:payment.charge_order"
    assert f"Open:     {page}" in operator.mails[0].get_content().splitlines()


def test_many_that_die_of_one_cause_are_one_mail_an_hour(operator: MailServer, bus: Bus) -> None:
    dead(bus, times=5)
    assert len(operator.mails) == 1
    [alert] = alerts()
    assert (alert.count, alert.example) == (5, "e-0")

    bus.advance(3601)
    dead(bus)
    assert len(operator.mails) == 2


def test_another_cause_is_another_mail(operator: MailServer, bus: Bus) -> None:
    dead(bus)
    dead(bus, fingerprint="KeyError at tasks/payment.py:charge")
    assert len(operator.mails) == 2


def test_an_alert_that_cannot_be_mailed_is_tried_again_and_raises_no_alert_of_its_own(
    operator: MailServer, bus: Bus
) -> None:
    bus.fail_fast = False
    switched("email", down=True)
    dead(bus)
    for _ in range(20):
        bus.advance(20)

    assert operator.mails == []
    assert [event.type for event in bus.published] == ["delivery.dead"]
