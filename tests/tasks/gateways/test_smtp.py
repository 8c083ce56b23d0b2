"""Mail over SMTP."""

import pytest

from events import Database, clock
from tasks.gateways.ports import GatewayDown
from tasks.gateways.smtp import SmtpMailer
from tasks.mail_texts import compose
from tasks.settings import settings
from tests.servers import free_port
from tests.tasks.builders import order_created
from tests.tasks.mailserver import MailServer


def test_an_unreachable_mail_server_is_an_outage(
    database: Database, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{free_port()}")
    settings.cache_clear()
    with pytest.raises(GatewayDown, match="is unreachable: ConnectionRefusedError"):
        SmtpMailer().send(
            compose(order_created(), order_created(), key="e:email.x", at=clock.now())
        )


def test_a_server_without_login_is_an_outage(
    database: Database, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", mail_server.url.replace("smtp://", "smtp://ada:secret%40@"))
    settings.cache_clear()
    with pytest.raises(GatewayDown, match="is unreachable: SMTPNotSupportedError"):
        SmtpMailer().send(
            compose(order_created(), order_created(), key="e:email.x", at=clock.now())
        )
    assert mail_server.mails == []


@pytest.mark.parametrize("url", ["127.0.0.1:25", "http://127.0.0.1", "smtp://"])
def test_an_invalid_address_of_the_mail_server_is_an_error_that_shows_a_valid_one(
    database: Database, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SMTP_URL", url)
    settings.cache_clear()
    with pytest.raises(ValueError, match="write smtp://host:port"):
        SmtpMailer().send(
            compose(order_created(), order_created(), key="e:email.x", at=clock.now())
        )


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
