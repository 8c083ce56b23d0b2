"""The local mail sink."""

import smtplib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session

from events import Database, DeadLetter, clock
from tasks.gateways.ports import MailDeferred
from tasks.gateways.smtp import SmtpMailer
from tasks.mail_texts import compose
from tasks.settings import settings
from tests.servers import HANG, free_port
from tests.tasks.builders import order_created
from tests.tasks.mailserver import parsed
from tidings.up.mail_sink import MAX_MAIL_SIZE, MailServer, MailStore

ENVELOPE = (b"mail from:<shop@example.org>\r\n", b"rcpt to:<ada@example.org>\r\n")


class Store(MailStore):
    """A store that refuses mails on request, or hangs up, after an answer if it has one."""

    refuse_recipients = refuse_mails = hang_up_at = hang_up_after = ""

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.hang_up_at and self.hang_up_at in address:
            if self.hang_up_after:
                await server.push(self.hang_up_after)
            server._flush()
            server.transport.close()
        if self.refuse_recipients and "bob" not in address:
            return self.refuse_recipients
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return self.refuse_mails or await super().handle_DATA(server, session, envelope)

    @property
    def mails(self) -> list[str]:
        """The mails, oldest first."""
        return [path.read_bytes().decode() for path in sorted(self.folder.glob("*.eml"))]


class Sink(Controller):
    """The sink in a thread of its own."""

    def factory(self) -> MailServer:
        return MailServer(self.handler, data_size_limit=MAX_MAIL_SIZE)


@pytest.fixture
def store(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    found = Store(tmp_path)
    sink = Sink(found, hostname="127.0.0.1", port=free_port())
    sink.start()
    monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{sink.port}")
    settings.cache_clear()
    yield found
    sink.stop()
    settings.cache_clear()


def send_one(page: str = "", **change: str) -> str:
    """Send one mail and return it."""
    order = order_created().model_copy(update=change)
    mail = compose(order, order, key="e:email.x", at=clock.now(), page=page)
    SmtpMailer().send(mail)
    return mail.content


def send_all(*names: str) -> list[str]:
    """Send a mail to each name together; return what became of it."""
    order = order_created()
    orders = [
        order.model_copy(update={"email": each if "@" in each else f"{each}@example.org"})
        for each in names
    ]
    mails = [compose(order, each, key=each.email, at=clock.now()) for each in orders]
    errors = SmtpMailer().send_all(mails)
    return ["sent" if error is None else type(error).__name__ for error in errors]


def recipients(store: Store) -> list[str]:
    return sorted(str(parsed(mail)["To"].addresses[0].username) for mail in store.mails)


def connect() -> smtplib.SMTP:
    server = smtplib.SMTP(settings().smtp_url.removeprefix("smtp://"), timeout=HANG)
    server.ehlo()
    return server


def answers(server: smtplib.SMTP, *commands: bytes, count: int) -> list[int]:
    """Send commands in one packet; return the codes of the answers."""
    server.send(b"".join(commands))
    return [server.getreply()[0] for _ in range(count)]


def test_a_mail_that_comes_as_a_chunk_is_stored_as_it_was_sent(store: Store) -> None:
    sent = [send_one(page) for page in ("Ž", ".\n.", "..\n\n.", "a" * 3000)]
    sent.append(send_one(customer="Žofie, <b>" * 19, email="ada+x@example.org"))

    assert store.mails == sent
    assert max(len(line) for mail in sent for line in mail.split("\r\n")) <= 100
    assert parsed(sent[3])["To"].addresses[0].addr_spec == "ada@example.org"


def test_a_refusal_of_a_chunk_is_that_of_its_command_and_spoils_no_later_mail(store: Store) -> None:
    store.refuse_recipients = "550 no such user"
    with pytest.raises(DeadLetter, match="refuses the recipient: 550"):
        send_one()
    store.refuse_recipients, store.refuse_mails = "", "451 later"
    with pytest.raises(MailDeferred, match="the mail now: 451"):
        send_one()
    store.refuse_mails = ""
    sent = send_one()

    assert store.mails == [sent]


def test_mails_that_come_in_one_packet_are_each_taken_or_refused(store: Store) -> None:
    assert send_all("ada", "bob", "cem") == ["sent"] * 3
    store.refuse_recipients = "550 no such user"
    assert send_all("dan", "bob", "eve", "fi@ž") == [
        "DeadLetter",
        "sent",
        "DeadLetter",
        "DeadLetter",
    ]
    store.refuse_recipients, store.refuse_mails = "", "451 later"
    assert send_all("fay", "bob") == ["MailDeferred"] * 2
    store.refuse_mails = ""
    assert send_all("gus", "hal") == ["sent"] * 2

    assert recipients(store) == ["ada", "bob", "bob", "cem", "gus", "hal"]


def test_a_mail_that_ends_the_connection_ends_no_other_mail(store: Store) -> None:
    store.hang_up_at = "eve"

    assert send_all("ada", "eve", "bob", "cem") == ["sent", "GatewayDown", "sent", "sent"]
    assert {"ada", "bob", "cem"} <= set(recipients(store))  # some twice: their replies were lost


def test_a_refusal_that_ends_the_connection_is_that_of_one_mail(store: Store) -> None:
    store.hang_up_at, store.hang_up_after = "eve", "550 5.1.1 no such user"

    assert send_all("ada", "eve", "bob", "cem") == ["sent", "DeadLetter", "sent", "sent"]


def test_chunks_are_put_together_and_one_that_cannot_be_taken_is_skipped(store: Store) -> None:
    with connect() as server:
        assert answers(server, b"bdat 4 last\r\nquit", count=1) == [503]
        too_much = b"bdat %d last\r\n" % (MAX_MAIL_SIZE + 1) + b"x" * (MAX_MAIL_SIZE + 1)
        assert answers(server, *ENVELOPE, too_much, count=3) == [250, 250, 552]
        parts = (b"bdat 6\r\na: b\r\n", b"BDAT 2\r\n\r\n", b"bdat 3 LAST\r\n.\r\n")
        assert answers(server, *ENVELOPE, *parts, count=5) == [250] * 5
        assert answers(server, *ENVELOPE, b"bdat 0 last\r\n", count=3) == [250] * 3
        assert answers(server, *ENVELOPE, b"bdat many\r\n", count=3) == [250, 250, 421]

    assert store.mails == ["a: b\r\n\r\n.\r\n", ""]
