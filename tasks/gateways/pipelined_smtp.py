"""SMTP with the commands of a mail in one packet, where the server takes that (RFC 2920).

A mail is then two round trips instead of four: the commands, and the text. It is one where the
server takes the text with them, as a chunk (RFC 3030).
"""

import re
import smtplib
from collections.abc import Sequence
from smtplib import CRLF
from typing import Any

_ACCEPTED = (250, 251)
_GO_AHEAD = 354


class _Pipelining(smtplib.SMTP):
    def sendmail(
        self,
        from_addr: str,
        to_addrs: str | Sequence[str],
        msg: Any,
        mail_options: Sequence[str] = (),
        rcpt_options: Sequence[str] = (),
    ) -> dict[str, tuple[int, bytes]]:
        """Send a mail. After an error the connection is of no further use.

        Raises what smtplib's own method raises.
        """
        if not self.has_extn("pipelining") or isinstance(to_addrs, str) or len(to_addrs) != 1:
            return super().sendmail(from_addr, to_addrs, msg, mail_options, rcpt_options)
        options = [f"size={len(msg)}"] if self.has_extn("size") else []
        [recipient] = to_addrs
        commands = (
            " ".join((f"mail FROM:<{from_addr}>", *options, *mail_options)),
            " ".join((f"rcpt TO:<{recipient}>", *rcpt_options)),
        )
        if self.has_extn("chunking"):
            self._send_together(*commands, f"bdat {len(msg)} last", text=msg)
            sender, taken, end = self.getreply(), self.getreply(), self.getreply()
            _check_envelope(from_addr, sender, recipient, taken)
        else:
            self._send_together(*commands, "data")
            sender, taken, ready = self.getreply(), self.getreply(), self.getreply()
            if ready[0] == _GO_AHEAD and not _are_accepted(sender, taken):
                self.close()  # it waits for the text of a mail that it refused
            _check_envelope(from_addr, sender, recipient, taken)
            if ready[0] != _GO_AHEAD:
                raise smtplib.SMTPDataError(*ready)
            self.send(_text(msg))
            end = self.getreply()
        if end[0] != _ACCEPTED[0]:
            raise smtplib.SMTPDataError(*end)
        return {}

    def _send_together(self, *commands: str, text: bytes = b"") -> None:
        if any("\r" in each or "\n" in each for each in commands):
            raise ValueError(f"a command of SMTP is one line, not {commands!r}")
        # Addresses beyond ASCII come with SMTPUTF8, all others are ASCII in either encoding.
        self.send(CRLF.join((*commands, "")).encode() + text)


def _are_accepted(*replies: tuple[int, bytes]) -> bool:
    return all(code in _ACCEPTED for code, _ in replies)


def _check_envelope(
    from_addr: str, sender: tuple[int, bytes], recipient: str, taken: tuple[int, bytes]
) -> None:
    if not _are_accepted(sender):
        raise smtplib.SMTPSenderRefused(*sender, from_addr)
    if not _are_accepted(taken):
        raise smtplib.SMTPRecipientsRefused({recipient: taken})


def _text(mail: bytes) -> bytes:
    """Return a mail as DATA takes it: a line of one period is its end (RFC 5321, 4.5.2)."""
    end = b"" if mail.endswith(b"\r\n") else b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", mail) + end + b".\r\n"


class SMTP(_Pipelining):
    """A connection without TLS, or with STARTTLS."""


class SMTP_SSL(_Pipelining, smtplib.SMTP_SSL):  # noqa: N801  smtplib's name
    """A connection with TLS from its first byte."""
