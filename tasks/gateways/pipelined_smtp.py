"""SMTP with the commands of a mail in one packet, where the server takes that (RFC 2920).

A mail is then two round trips instead of four: the commands, and the text. Where the server takes
the text with them, as a chunk (RFC 3030), any number of mails are one round trip.
"""

import re
import smtplib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from smtplib import CRLF

_ACCEPTED = (250, 251)
_GO_AHEAD = 354


@dataclass(frozen=True)
class Mail:
    """A mail as SMTP carries it. Only the address of its recipient may have other letters."""

    sender: str
    recipient: str
    content: bytes

    @property
    def options(self) -> tuple[str, ...]:
        """The options of its MAIL command."""
        return () if self.recipient.isascii() else ("SMTPUTF8", "BODY=8BITMIME")


class Connection(smtplib.SMTP):
    """A connection without TLS, or with STARTTLS."""

    def takes_groups(self) -> bool:
        """Tell whether the server takes mails together."""
        return self.has_extn("pipelining") and self.has_extn("chunking")

    def send_each(self, mails: Sequence[Mail]) -> Iterator[smtplib.SMTPException | None]:
        """Send mails, in one packet if the server takes groups; yield `None` or the refusal of
        each. After a refusal the connection is of no use for mails that follow these.

        Raises what smtplib raises for a lost connection.
        """
        together = [mail for mail in mails if self.takes_groups() and self._can_carry(mail)]
        if together:  # the server forgets a refused mail before it reads the next one
            chunks = (
                self._commands(mail, f"bdat {len(mail.content)} last") + mail.content
                for mail in together
            )
            self.send(f"rset{CRLF}".encode().join(chunks))
        for mail in mails:
            try:
                if not self._can_carry(mail):
                    raise smtplib.SMTPNotSupportedError
                if together:
                    self._read_replies(mail, is_first=mail is together[0])
                else:
                    self._send_alone(mail)
            except smtplib.SMTPServerDisconnected:
                raise
            except smtplib.SMTPException as refused:
                yield refused
            else:
                yield None

    def _can_carry(self, mail: Mail) -> bool:
        return not mail.options or self.has_extn("smtputf8")

    def _read_replies(self, mail: Mail, *, is_first: bool) -> None:
        if not is_first:
            self.getreply()  # to RSET
        sender, taken, end = self.getreply(), self.getreply(), self.getreply()
        _check_envelope(mail, sender, taken)
        _check_end(end)

    def _send_alone(self, mail: Mail) -> None:
        if not self.has_extn("pipelining"):
            self.sendmail(mail.sender, mail.recipient, mail.content, mail.options)
            return
        self.send(self._commands(mail, "data"))
        sender, taken, ready = self.getreply(), self.getreply(), self.getreply()
        if ready[0] == _GO_AHEAD and not _are_accepted(sender, taken):
            self.close()  # it waits for the text of a mail that it refused
        _check_envelope(mail, sender, taken)
        if ready[0] != _GO_AHEAD:
            raise smtplib.SMTPDataError(*ready)
        self.send(_text(mail.content))
        _check_end(self.getreply())

    def _commands(self, mail: Mail, last: str) -> bytes:
        size = [f"size={len(mail.content)}"] if self.has_extn("size") else []
        commands = (
            " ".join((f"mail FROM:<{mail.sender}>", *size, *mail.options)),
            f"rcpt TO:<{mail.recipient}>",
            last,
        )
        if any("\r" in each or "\n" in each for each in commands):
            raise ValueError(f"a command of SMTP is one line, not {commands!r}")
        # Addresses beyond ASCII come with SMTPUTF8, all others are ASCII in either encoding.
        return CRLF.join((*commands, "")).encode()


def _are_accepted(*replies: tuple[int, bytes]) -> bool:
    return all(code in _ACCEPTED for code, _ in replies)


def _check_envelope(mail: Mail, sender: tuple[int, bytes], taken: tuple[int, bytes]) -> None:
    if not _are_accepted(sender):
        raise smtplib.SMTPSenderRefused(*sender, mail.sender)
    if not _are_accepted(taken):
        raise smtplib.SMTPRecipientsRefused({mail.recipient: taken})


def _check_end(end: tuple[int, bytes]) -> None:
    if end[0] != _ACCEPTED[0]:
        raise smtplib.SMTPDataError(*end)


def _text(mail: bytes) -> bytes:
    """Return a mail as DATA takes it: a line of one period is its end (RFC 5321, 4.5.2)."""
    end = b"" if mail.endswith(b"\r\n") else b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", mail) + end + b".\r\n"


class SecureConnection(Connection, smtplib.SMTP_SSL):
    """A connection with TLS from its first byte."""
