"""SMTP with the commands of a mail in one packet, where the server takes that (RFC 2920).

A mail is then two round trips instead of four: the commands, and the text. Where the server takes
the text with them, as a chunk (RFC 3030), any number of mails are one round trip.
"""

import re
import smtplib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from smtplib import CRLF

_ACCEPTED = (250, 251)
_GO_AHEAD = 354
_TAKEN = 250
_SHORTEST_WAIT = 0.01  # seconds for a reply that is at hand when the time is over

Reply = tuple[int, bytes]


class Unconfirmed(smtplib.SMTPServerDisconnected):
    """A server that got the text of a mail, and did not say in time whether it takes it."""


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

    def send_each(
        self, mails: Sequence[Mail], *, until: float
    ) -> Iterator[smtplib.SMTPException | None]:
        """Send mails, in one packet if the server takes groups; yield `None` or the refusal of
        each. After a refusal the connection is of no use for mails that follow these.

        Nothing is yielded for the mails behind one after which the server hangs up. Raises what
        smtplib raises for a lost connection, and `Unconfirmed` if a reply to a text, or to what was
        sent together with one, has not come by `until` on the monotonic clock.
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
                if not together:
                    self._send_alone(mail, until)
                elif mail is together[0] or self._is_reset(until):
                    _check(mail, self._replies(3, until), end=_TAKEN)
                else:
                    return
            except smtplib.SMTPServerDisconnected:
                raise
            except smtplib.SMTPException as refused:
                yield refused
                if self.sock is None:
                    return
            else:
                yield None

    def _can_carry(self, mail: Mail) -> bool:
        return not mail.options or self.has_extn("smtputf8")

    def _is_reset(self, until: float) -> bool:
        """Tell whether the server goes on after a mail, and does not hang up because of it."""
        try:
            self._reply(until)
        except Unconfirmed:
            raise
        except smtplib.SMTPServerDisconnected:
            return False
        return True

    def _send_alone(self, mail: Mail, until: float) -> None:
        """Send one mail by DATA, with its commands in one packet if the server takes that."""
        commands = self._commands(mail, "data")
        together = self.has_extn("pipelining")
        replies: list[Reply] = []
        for packet in [commands] if together else commands.splitlines(keepends=True):
            self.send(packet)
            replies += self._replies(3 if together else 1)
            goes_ahead = any(code == _GO_AHEAD for code, _ in replies[2:])
            if goes_ahead and not _are_accepted(*replies[:2]):
                self.close()  # it waits for the text of a mail that it refused
            _check(mail, replies, end=_GO_AHEAD)
        self.send(_text(mail.content))
        _check(mail, [*replies[:2], self._reply(until)], end=_TAKEN)

    def _replies(self, count: int, until: float | None = None) -> list[Reply]:
        """Read the replies to MAIL, RCPT and what follows, all but those that a refusal cuts off.

        A server may hang up after a refusal: the loss of the connection says less than it does.
        """
        replies: list[Reply] = []
        try:
            while len(replies) < count:
                replies.append(self._reply(until))
        except smtplib.SMTPServerDisconnected:
            if _are_accepted(*replies):
                raise
        return replies

    def _reply(self, until: float | None) -> Reply:
        """Read a reply; after a text was sent, one that comes by `until`."""
        if until is None or self.sock is None:
            return self.getreply()
        self.sock.settimeout(max(_SHORTEST_WAIT, until - time.monotonic()))
        try:
            reply = self.getreply()
        except smtplib.SMTPServerDisconnected as error:
            if has_timed_out(error):
                raise Unconfirmed from None
            raise
        self.sock.settimeout(self.timeout)
        return reply

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


def has_timed_out(error: BaseException) -> bool:
    """Tell whether an error is a time-out, of which smtplib says that the server disconnected."""
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)


def _are_accepted(*replies: Reply) -> bool:
    return all(code in _ACCEPTED for code, _ in replies)


def _check(mail: Mail, replies: Sequence[Reply], *, end: int) -> None:
    """Raise the first refusal among the replies to MAIL, RCPT and what follows, if they came."""
    if not _are_accepted(*replies[:1]):
        raise smtplib.SMTPSenderRefused(*replies[0], mail.sender)
    if not _are_accepted(*replies[1:2]):
        raise smtplib.SMTPRecipientsRefused({mail.recipient: replies[1]})
    if any(code != end for code, _ in replies[2:]):
        raise smtplib.SMTPDataError(*replies[2])


def _text(mail: bytes) -> bytes:
    """Return a mail as DATA takes it: a line of one period is its end (RFC 5321, 4.5.2)."""
    end = b"" if mail.endswith(b"\r\n") else b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", mail) + end + b".\r\n"


class SecureConnection(Connection, smtplib.SMTP_SSL):
    """A connection with TLS from its first byte."""
