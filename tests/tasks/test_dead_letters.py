"""The messages about alerts, by mail and by webhook."""

import base64
import json
from collections.abc import Iterator

import pytest

from events.alerts.evaluation import INTERVAL, evaluate
from events.settings import settings as bus_settings
from events.testing import Bus
from tasks.settings import settings
from tests.events.alerts.alerting import only
from tests.tasks.builders import placed, switched
from tests.tasks.gateways.receiver import receiving
from tests.tasks.mailserver import MailServer

MAIL = "dead_letters.mail_alert"


@pytest.fixture(autouse=True)
def operator(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """Set `OPERATOR_EMAIL` and a rule, and return the mail server."""
    monkeypatch.setenv("OPERATOR_EMAIL", "ops@example.org")
    monkeypatch.setenv("PUBLIC_URL", "https://shop.example.com")
    only(monkeypatch, new_cause="on")
    settings.cache_clear()
    yield mail_server
    settings.cache_clear()
    bus_settings.cache_clear()


def die(bus: Bus) -> None:
    """Let the charge of an order die, and look at the rules."""
    bus.fail_fast = False
    placed("tok_broken")
    bus.drain()
    for _ in range(45):
        bus.advance(1)
    look(bus)


def look(bus: Bus, after: float = INTERVAL) -> None:
    bus.advance(after)
    evaluate()
    bus.drain()


def alerts(server: MailServer) -> list[str]:
    return [
        subject for subject in server.subjects if subject.startswith(("Alert", "Still", "Over"))
    ]


def test_the_operator_is_told_what_died_where_to_look_and_when_it_is_over(
    operator: MailServer, bus: Bus
) -> None:
    die(bus)
    look(bus)

    assert alerts(operator) == ["Alert: Deliveries of payment.charge_order die"]
    [mail] = [each for each in operator.mails if each["To"] == "ops@example.org"]
    text = mail.get_content()
    assert "1 dead letter of this cause: GatewayError " in text
    page = (
        "https://shop.example.com/ops/dead-letters?subscription=payment.charge_order&fingerprint="
    )
    assert f"Open:   {page}GatewayError+" in text
    assert (
        "tidings dead-letters list --subscription payment.charge_order --fingerprint 'Gate" in text
    )


def test_nobody_is_written_to_unless_an_operator_is_named(
    operator: MailServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPERATOR_EMAIL")
    settings.cache_clear()
    die(bus)

    assert alerts(operator) == []
    assert {each.state for each in bus.deliveries() if each.queue == "dead_letters"} == {"done"}


def test_an_alert_that_cannot_be_mailed_waits_and_is_sent_later(
    operator: MailServer, bus: Bus
) -> None:
    switched("email", down=True)
    die(bus)
    for _ in range(20):
        bus.advance(20)
    assert alerts(operator) == []
    assert {each.state for each in bus.deliveries() if each.subscription == MAIL} == {"retrying"}

    switched("email", down=False)
    for _ in range(20):
        bus.advance(600)
    assert alerts(operator) == ["Alert: Deliveries of payment.charge_order die"]


def test_an_alert_is_posted_to_the_webhook_and_a_receiver_that_fails_delays_no_mail(
    operator: MailServer, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT_WEBHOOK_SECRET", "whsec_" + base64.b64encode(b"k" * 32).decode())
    monkeypatch.setenv("ALERT_WEBHOOK_NETWORKS", "127.0.0.0/8")
    with receiving() as receiver:
        monkeypatch.setenv("ALERT_WEBHOOK_URL", receiver.url)
        settings.cache_clear()
        receiver.hangs.set()
        die(bus)
        assert alerts(operator) == ["Alert: Deliveries of payment.charge_order die"]
        assert len(receiver.requests) == 1

        receiver.hangs.clear()
        for _ in range(3):
            bus.advance(1000)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 1
    message = json.loads(receiver.requests[-1][2])
    assert message["type"] == "alert.raised"
    assert message["data"]["rule"] == "new cause"
    assert message["data"]["subject"] == "payment.charge_order"
    assert message["text"].startswith("Alert: Deliveries of payment.charge_order die. 1 dead lett")
    assert "https://shop.example.com/ops/dead-letters?subscription=" in message["text"]
    assert {each.state for each in bus.deliveries() if each.queue == "dead_letters"} == {"done"}
    assert len(alerts(operator)) == 1
