"""Mail to a server that takes the commands of a mail together."""

from collections.abc import Iterator

import pytest

from events import Database, DeadLetter, clock
from tasks.gateways.ports import GatewayBusy, MailDeferred
from tasks.gateways.smtp import SmtpMailer
from tasks.mail_texts import compose
from tasks.settings import settings
from tests.tasks.builders import order_created
from tests.tasks.gateways.scripted import EXTENSIONS, HANG_UP, scripted_server
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


@pytest.mark.parametrize("extensions", EXTENSIONS.values(), ids=EXTENSIONS)
@pytest.mark.parametrize(
    ("step", "reply", "kind", "text"),
    [
        ("RCPT", "550 5.1.1 no such user", DeadLetter, "refuses the recipient: 550 5.1.1"),
        ("RCPT", "450 4.2.0 greylisted", MailDeferred, "the recipient now: 450 4.2.0"),
        ("RCPT", "421 4.7.0 too many", GatewayBusy, "the recipient now: 421 4.7.0"),
        ("MAIL", "554 5.7.1 not yours", DeadLetter, r"the sender \(MAIL_FROM\): 554 5.7.1"),
        ("MAIL", "521 no mail here", DeadLetter, r"the sender \(MAIL_FROM\): 521"),
        ("MAIL", "421 closing", GatewayBusy, r"the sender \(MAIL_FROM\) now: 421"),
    ],
)
def test_a_refusal_after_which_the_server_hangs_up_is_a_refusal(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    extensions: dict[str, str],
    step: str,
    reply: str,
    kind: type[Exception],
    text: str,
) -> None:
    with scripted_server(extensions | {step: f"{reply}{HANG_UP}"}) as url:
        monkeypatch.setenv("SMTP_URL", url)
        settings.cache_clear()
        with pytest.raises(kind, match=text):
            send_one()
    settings.cache_clear()
