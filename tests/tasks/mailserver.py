"""A mail server that stores the mails it receives, and refuses them on request."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.servers import free_port


def parsed(mail: str) -> EmailMessage:
    """Return a mail as a mail client reads it."""
    return message_from_bytes(mail.encode(), policy=policy.default)


class MailServer:
    """A real SMTP server on a free port.

    `refuse_senders`, `refuse_recipients` and `refuse_mails` are answers such as `550 no such user`;
    `peers` has the address from which each mail came, which is another one for each connection.
    With `pipelining` it takes the commands of a mail together. A `careless` server asks for the
    text of a mail whose recipient it has refused, as RFC 2920 permits.
    """

    def __init__(self, *, port: int = 0, pipelining: bool = False) -> None:
        self.pipelining, self.careless = pipelining, False
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.peers: list[Any] = []
        self.refuse_senders = self.refuse_recipients = self.refuse_mails = self.quit_answer = ""
        self._controller = Controller(self, hostname="127.0.0.1", port=port or free_port())

    @property
    def port(self) -> int:
        return int(self._controller.port)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._controller.port}"

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    def empty(self) -> None:
        self.mails.clear()
        self.recipients.clear()
        self.peers.clear()
        self.refuse_senders = self.refuse_recipients = self.refuse_mails = self.quit_answer = ""

    async def handle_EHLO(  # noqa: N802  aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, host: str, answers: list[str]
    ) -> list[str]:
        session.host_name = host
        return [answers[0], "250-PIPELINING", *answers[1:]] if self.pipelining else answers

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refuse_senders:
            return self.refuse_senders
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refuse_recipients:
            if self.careless:
                envelope.rcpt_tos.append(address)
            return self.refuse_recipients
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.refuse_mails:
            return self.refuse_mails
        self.recipients.append(list(envelope.rcpt_tos))
        self.peers.append(session.peer)
        content: Any = envelope.content
        self.mails.append(message_from_bytes(content, policy=policy.default))
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return self.quit_answer or "221 Bye"

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]
