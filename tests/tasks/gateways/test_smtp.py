"""Mail over SMTP."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from events import Database, DeadLetter, clock
from events.environment import InvalidSettings
from tasks.gateways import smtp
from tasks.gateways.ports import GatewayDown
from tasks.gateways.smtp import SmtpMailer
from tasks.mail_texts import compose
from tasks.settings import settings
from tests.servers import free_port
from tests.tasks.builders import order_created
from tests.tasks.mailserver import MailServer


def send_one(key: str = "e:email.x") -> None:
    """Send one mail."""
    SmtpMailer().send(compose(order_created(), order_created(), key=key, at=clock.now()))


def test_an_unreachable_mail_server_is_an_outage(
    database: Database, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{free_port()}")
    settings.cache_clear()
    with pytest.raises(GatewayDown, match="is unreachable: ConnectionRefusedError"):
        send_one()


def test_a_server_without_login_is_an_outage(
    database: Database, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", mail_server.url.replace("smtp://", "smtp://ada:secret%40@"))
    settings.cache_clear()
    with pytest.raises(GatewayDown, match="is unreachable: SMTPNotSupportedError"):
        send_one()
    assert mail_server.mails == []


@pytest.mark.parametrize("url", ["127.0.0.1:25", "http://127.0.0.1", "smtp://"])
def test_an_invalid_address_of_the_mail_server_is_an_error_that_shows_a_valid_one(
    database: Database, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SMTP_URL", url)
    settings.cache_clear()
    with pytest.raises(InvalidSettings, match="write smtp://host:port"):
        send_one()


def test_a_name_with_accents_and_markup_stays_as_it_is(
    database: Database, mail_server: MailServer
) -> None:
    order = order_created().model_copy(update={"customer": "Žofie, <b>Nováková</b>"})
    SmtpMailer().send(compose(order, order, key="e:email.x", at=clock.now()))

    [mail] = mail_server.mails
    assert mail["To"].addresses[0].display_name == "Žofie, <b>Nováková</b>"
    assert mail["To"].addresses[0].addr_spec == "ada@example.org"
    assert mail.get_content_type() == "text/plain"
    assert mail_server.recipients == [["ada@example.org"]]


def test_mails_that_follow_each_other_share_a_connection(
    database: Database, mail_server: MailServer
) -> None:
    for _ in range(3):
        send_one()

    assert (len(mail_server.mails), len(set(mail_server.peers))) == (3, 1)


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    database: Database, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "MAX_IDLE", 0.0)
    for _ in range(2):
        send_one()

    assert len(set(mail_server.peers)) == 2


def test_a_connection_that_the_server_closed_costs_no_mail(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = MailServer()
    first.start()
    monkeypatch.setenv("SMTP_URL", first.url)
    settings.cache_clear()
    send_one()
    first.stop()
    second = MailServer(port=first.port)
    second.start()
    try:
        send_one()
    finally:
        second.stop()
        settings.cache_clear()

    assert (len(first.mails), len(second.mails)) == (1, 1)


def test_after_a_refusal_the_next_mail_is_sent_on_a_new_connection(
    database: Database, mail_server: MailServer
) -> None:
    send_one()
    mail_server.refuse_recipients = "550 no such user"
    with pytest.raises(DeadLetter, match="refuses the recipient: 550"):
        send_one()
    mail_server.refuse_recipients = ""
    send_one()

    assert len(set(mail_server.peers)) == 2


def test_mails_sent_at_once_are_not_mixed_up(database: Database, mail_server: MailServer) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send_one, [f"e{number}:email.x" for number in range(40)]))

    assert len({mail["Message-ID"] for mail in mail_server.mails}) == len(mail_server.mails) == 40
    assert mail_server.recipients == [["ada@example.org"]] * 40
