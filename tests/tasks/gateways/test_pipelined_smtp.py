"""Mail to a server that takes the commands of a mail together."""

from collections.abc import Iterator

import pytest

from events import Database, DeadLetter, clock
from tasks.gateways.ports import MailDeferred
from tasks.gateways.smtp import SmtpMailer
from tasks.mail_texts import compose
from tasks.settings import settings
from tests.tasks.builders import order_created
from tests.tasks.mailserver import MailServer


@pytest.fixture
def pipelining(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    server = MailServer(pipelining=True)
    server.start()
    monkeypatch.setenv("SMTP_URL", server.url)
    settings.cache_clear()
    yield server
    server.stop()
    settings.cache_clear()


def send_one(page: str = "") -> None:
    order = order_created()
    SmtpMailer().send(compose(order, order, key="e:email.x", at=clock.now(), page=page))


def test_mails_arrive_whole_and_share_a_connection(pipelining: MailServer) -> None:
    for page in ("Ž", ".\n.", "..\n\n."):
        send_one(page)

    assert pipelining.recipients == [["ada@example.org"]] * 3
    texts = [mail.get_content().replace("\r\n", "\n") for mail in pipelining.mails]
    assert [text.split("you alone:\n")[1].split("\n\nTidings")[0] for text in texts] == [
        "Ž",
        ".\n.",
        "..\n\n.",
    ]
    assert len(set(pipelining.peers)) == 1


@pytest.mark.parametrize("careless", [False, True])
def test_a_refusal_is_that_of_the_command_and_spoils_no_later_mail(
    pipelining: MailServer, careless: bool
) -> None:
    pipelining.careless = careless
    pipelining.refuse_recipients = "550 no such user"
    with pytest.raises(DeadLetter, match="refuses the recipient: 550"):
        send_one()
    pipelining.refuse_recipients, pipelining.refuse_senders = "", "553 not yours"
    with pytest.raises(DeadLetter, match="refuses the sender"):
        send_one()
    pipelining.refuse_senders, pipelining.refuse_mails = "", "451 later"
    with pytest.raises(MailDeferred, match="451"):
        send_one()
    assert pipelining.mails == []
    pipelining.refuse_mails = ""
    send_one()

    assert pipelining.recipients == [["ada@example.org"]]
