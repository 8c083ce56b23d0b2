"""The classes of SMTP replies: what a mailer raises for a reply that is no success."""

import re

from events import DeadLetter
from tasks.gateways.ports import GatewayBusy, GatewayDown, GatewayError, MailDeferred

CLOSING = 421  # RFC 5321, 3.8: service not available, closing transmission channel
# RFC 4954, 3207 and 5248: a login or TLS is missing, which no mail can mend and all mails share.
LOGIN = frozenset({523, 524, 525, 530, 534, 535, 538})
# The same as enhanced codes, whatever code is before them; 5.7.57 is Exchange's. Not 5.7.9, by
# which Yahoo refuses one mail (554), nor 5.7.13, by which Exchange refuses a recipient (550).
LOGIN_ENHANCED = frozenset({"5.7.8", "5.7.10", "5.7.11", "5.7.57"})
# RFC 3463: the enhanced status code, such as 4.2.0. The text after it may hold an address.
_ENHANCED = re.compile(rb"\s*([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")


def error_of(refused: str, code: int, text: bytes = b"") -> Exception:
    """Return the error for a reply to a mail; `refused` says what it is about.

    RFC 5321, 4.2.1: 4xx is "not now", 5xx is a refusal for good. Any other reply is unknown. Of
    the 4xx only 421 concerns all mails: the server closes the connection. Of the 5xx those about
    the login do.
    """
    reply = describe(code, text)
    if code in LOGIN or (500 <= code < 600 and _enhanced(text) in LOGIN_ENHANCED):
        return GatewayDown(f"the mail server wants another login or TLS (SMTP_URL): {reply}")
    if 400 <= code < 500:
        kind = GatewayBusy if code == CLOSING else MailDeferred
        return kind(f"the mail server cannot take {refused} now: {reply}")
    if 500 <= code < 600:
        return DeadLetter(f"the mail server refuses {refused}: {reply}")
    return GatewayError(f"the mail server gives no valid reply to {refused}: {reply}")


def describe(code: int, text: bytes) -> str:
    """Return the codes of a reply, without its text."""
    return f"{code} {_enhanced(text)}".rstrip()


def _enhanced(text: bytes) -> str:
    found = _ENHANCED.match(text)
    return found[1].decode() if found else ""
