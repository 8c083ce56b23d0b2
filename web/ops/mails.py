"""/ops/mails: the mails in the local mail sink, so that a demonstration needs no mailbox."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from functools import partial
from pathlib import Path

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from tasks.settings import settings

bp = Blueprint("mails", __name__, url_prefix="/mails")
MAX_MAILS = 50
MAX_SIZE = 256 * 1024  # bytes of a mail that are read


@dataclass(frozen=True)
class Mail:
    """A mail in the sink."""

    at: datetime
    sender: str
    to: str
    subject: str
    text: str


@bp.get("")
def show_list() -> ResponseReturnValue:
    """Show the latest mails."""
    folder = settings().mail_dir
    return render_template(
        "ops/mails.html", folder=folder, exists=folder.is_dir(), mails=list(_latest(folder))
    )


def _latest(folder: Path) -> Iterator[Mail]:
    by_time = sorted(((path.stat().st_mtime, path) for path in folder.glob("*.eml")), reverse=True)
    for modified, path in by_time[:MAX_MAILS]:
        with path.open("rb") as file:
            yield _mail(file.read(MAX_SIZE), datetime.fromtimestamp(modified, UTC))


def _mail(raw: bytes, at: datetime) -> Mail:
    message = message_from_bytes(raw, _class=EmailMessage, policy=policy.default)
    sender, to = (_read(partial(_mailboxes, message, name)) for name in ("from", "to"))
    subject = _read(partial(message.get, "Subject", ""))
    return Mail(at, sender, to, subject, _read(partial(_text, message)))


def _mailboxes(message: EmailMessage, name: str) -> str:
    """Return a header as it was sent, decoded.

    The standard library's parser of addresses puts a space between two parts of an encoded name.
    """
    sent = next((value for each, value in message.raw_items() if each.casefold() == name), "")
    decoded = str(make_header(decode_header(" ".join(str(sent).split()))))
    return decoded.encode("utf-8", "replace").decode()  # bytes that were no ASCII are surrogates


def _text(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    return str(body.get_content()) if body else "(no text)"


def _read(part: Callable[[], object]) -> str:
    """Read a part of a mail, or describe the error.

    Mails are untrusted, and the standard library's parser raises many kinds of errors.
    """
    try:
        return str(part())
    except Exception as error:
        return f"(cannot be read: {type(error).__name__})"
