"""The settings of mails: the addresses of sender and operator, and that of the mail server."""

from email.errors import MessageError
from email.headerregistry import Address
from email.utils import getaddresses
from typing import Final
from urllib.parse import unquote

from email_validator import EmailNotValidError, validate_email

from events.errors import BadValue
from events.hosts import split_url

PORTS: Final = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_SMTP_FIX = "write smtp://host:port, smtp+starttls://user:password@host:587 or smtps://host:465"
_MAILBOX_FIX = 'write orders@example.com or "Shop <orders@example.com>"'


def mailbox(text: str) -> Address:
    """Return a mailbox with its display name, which may be empty. Raises `BadValue`."""
    if any(not character.isprintable() for character in text):
        raise BadValue("has a line break or another control character", _MAILBOX_FIX)
    (name, address), *others = getaddresses([text]) or [("", "")]
    if others:
        raise BadValue(f"is {text[:80]!r}, which is more than one address", _MAILBOX_FIX)
    if address not in text:  # what is parsed has lost its spaces
        raise BadValue(f"is {text[:80]!r}, with a space or a word in the address", _MAILBOX_FIX)
    try:
        found = validate_email(address, check_deliverability=False, allow_smtputf8=False)
        return Address(display_name=name, addr_spec=found.ascii_email or found.normalized)
    except (EmailNotValidError, MessageError, ValueError) as error:
        reason = str(error).rstrip(".") if address else "it contains no address"
        raise BadValue(f"is {text[:80]!r}: {reason}", _MAILBOX_FIX) from None


def check_mailbox(text: str) -> str:
    """Return the text of a mailbox. Raises `BadValue`."""
    return str(mailbox(text))


def check_smtp_url(text: str) -> str:
    """Return the address of a mail server. Raises `BadValue`."""
    if "://" not in text:
        raise BadValue("does not begin with smtp://, smtp+starttls:// or smtps://", _SMTP_FIX)
    parts = split_url(text, _SMTP_FIX)
    if parts.scheme not in PORTS:
        raise BadValue(f"begins with {parts.scheme}://", _SMTP_FIX)
    if parts.path.strip("/") or parts.query or parts.fragment or not parts.hostname:
        raise BadValue(
            "is not host and port after the scheme",
            f"{_SMTP_FIX}; percent-encode special characters of user and password",
        )
    _check_login(unquote(parts.username or ""), unquote(parts.password or ""))
    return text


def _check_login(user: str, password: str) -> None:
    if bool(user) != bool(password):
        raise BadValue(f"has a {'user' if user else 'password'} alone", _SMTP_FIX)
    if not (user + password).isascii() or not (user + password).isprintable():
        # smtplib sends ASCII only, and fails at each mail.
        raise BadValue("has a login beyond printable ASCII", "choose a password in ASCII")
