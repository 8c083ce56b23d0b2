"""Mail over SMTP to `SMTP_URL`. The sandbox's switch also works here, to rehearse an outage."""

import select
import smtplib
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from events import DeadLetter, reading
from events.calls import time_left
from events.errors import CallNotMade
from tasks.gateways.pipelined_smtp import (
    Connection,
    Mail,
    SecureConnection,
    Unconfirmed,
    has_timed_out,
)
from tasks.gateways.ports import GatewayDown, GatewayError, MailMessage
from tasks.gateways.sandbox import check
from tasks.gateways.smtp_answers import describe, error_of
from tasks.mail_settings import PORTS
from tasks.settings import settings

SOCKET_TIMEOUT = 10.0  # seconds for each reply before the text, below the time limit of a task
# A server may examine a text for long before it takes it: RFC 5321, 4.5.3.2.6, has clients wait for
# ten minutes. This is the share of the time limit for that; the rest is for recording the mails.
SHARE_FOR_REPLY = 0.9
MAX_IDLE = 5.0  # seconds; servers close idle connections after a minute or more
# Seconds after which an idle connection is asked with NOOP: a third of the round trips of a mail.
# Until then it is open unless it has something to read, a farewell or its end.
ASK_AFTER = 1.0


class SmtpMailer:
    """A mailer that keeps idle connections for a while: to open one costs more than a mail."""

    def send(self, message: MailMessage) -> None:
        """Send one mail.

        Raises `DeadLetter` if the server refuses it for good, `NotNow` if the server cannot take it
        now or is unreachable, and `GatewayError` if the server may have taken it. No error contains
        an address.
        """
        [error] = self.send_all([message])
        if error is not None:
            raise error

    def send_all(self, messages: Sequence[MailMessage]) -> list[Exception | None]:
        """Send mails; return for each, in their order, `None` or the error of `send`.

        They take no longer than one that hangs: those that are not begun by then are not made.
        """
        with reading() as session:
            check(session, "email", lambda sandbox, code, _: error_of("the mail", code))
        url, now = settings().smtp_url, time.monotonic()
        until = now + time_left() * SHARE_FOR_REPLY
        deadline = min(until, now + SOCKET_TIMEOUT)
        errors: list[Exception | None] = []
        together = True
        while left := messages[len(errors) :]:
            if errors and time.monotonic() >= deadline:
                return [*errors, *(CallNotMade("the mails before it took too long") for _ in left)]
            try:
                server = _idle.take(url) or _reached(url)
            except GatewayDown as error:
                return [*errors, *(error for _ in left)]
            group = left if together and server.takes_groups() else left[:1]
            errors += (found := _send(url, server, group, until))
            together = together and len(found) == len(group)
        return errors


def _send(
    url: str, server: Connection, messages: Sequence[MailMessage], until: float
) -> list[Exception | None]:
    """Send mails on one connection, and keep it if all is well.

    Return the errors up to the mail at which the connection is lost: it may be to blame. Of those
    that the server does not confirm in time each may have been taken.
    """
    mails = [Mail(each.sender, each.recipient, each.content.encode()) for each in messages]
    errors: list[Exception | None] = []
    began = time.monotonic()
    try:
        for refused in server.send_each(mails, until=until):
            refusal = None if refused is None else _error(refused)
            errors.append(refusal)
    except Unconfirmed:
        server.close()
        within = f"within {time.monotonic() - began:.0f} s"
        unknown = GatewayError(f"the mail server did not say {within} whether it took the mail")
        return [*errors, *(unknown for _ in messages[len(errors) :])]
    except OSError as error:  # includes SMTPServerDisconnected
        server.close()
        return [*errors, GatewayDown(f"the mail server was lost: {_kind(error)}")]
    except BaseException:
        server.close()
        raise
    is_whole = server.sock is not None and not any(errors)
    _idle.put_back(url, server) if is_whole else _quit(server)
    return errors


class _IdleConnections:
    """The connections that no thread of this process uses now, the latest used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: list[tuple[float, str, Connection]] = []

    def take(self, url: str) -> Connection | None:
        """Return a connection to `url` that answers, if there is one."""
        while found := self._pop():
            since, known_url, server = found
            idle = time.monotonic() - since
            if known_url == url and idle < MAX_IDLE and _is_open(server, ask=idle > ASK_AFTER):
                return server
            _quit(server)
        return None

    def put_back(self, url: str, server: Connection) -> None:
        """Keep a connection for the next mail."""
        with self._lock:
            self._servers.append((time.monotonic(), url, server))

    def _pop(self) -> tuple[float, str, Connection] | None:
        with self._lock:
            return self._servers.pop() if self._servers else None


_idle = _IdleConnections()


def _is_open(server: Connection, *, ask: bool) -> bool:
    if server.sock is None:
        return False
    readable = select.poll()
    readable.register(server.sock, select.POLLIN)
    try:
        return not readable.poll(0) and (not ask or server.noop()[0] == 250)
    except (smtplib.SMTPException, OSError):
        return False


def _quit(server: Connection) -> None:
    # The mail is accepted or refused by now; an error of QUIT changes neither.
    with suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()


def _reached(url: str) -> Connection:
    """Return a connection that is ready for a mail.

    A refusal here, a greeting or a login, is about us and not about the mail, so it is an outage
    whatever its code: mails wait until somebody has corrected it.
    """
    try:
        return _connect(url)
    except smtplib.SMTPResponseException as refused:
        reply = describe(refused.smtp_code, _bytes(refused))
        kind = type(refused).__name__
        raise GatewayDown(f"the mail server refuses the connection: {kind} {reply}") from None
    except OSError as error:  # includes SMTPException
        raise GatewayDown(f"the mail server is unreachable: {_kind(error)}") from error


def _connect(url: str) -> Connection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    if parts.scheme == "smtps":
        server: Connection = SecureConnection(
            host, port, timeout=SOCKET_TIMEOUT, context=ssl.create_default_context()
        )
    else:
        server = Connection(host, port, timeout=SOCKET_TIMEOUT)
    try:
        if parts.scheme == "smtp+starttls":
            server.starttls(context=ssl.create_default_context())
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.ehlo_or_helo_if_needed()
    except OSError:  # includes SMTPException
        server.close()
        raise
    return server


def _error(refused: smtplib.SMTPException) -> Exception:
    """Return the error for what smtplib raises while it sends a mail."""
    match refused:
        case smtplib.SMTPRecipientsRefused(recipients=recipients):
            code, text = next(iter(recipients.values()))
            return error_of("the recipient", code, text)
        case smtplib.SMTPSenderRefused():
            return error_of("the sender (MAIL_FROM)", refused.smtp_code, _bytes(refused))
        case smtplib.SMTPResponseException(smtp_error=str()):  # by smtplib, for an endless line
            return GatewayError("the mail server gives no valid reply to the mail")
        case smtplib.SMTPResponseException():
            return error_of("the mail", refused.smtp_code, _bytes(refused))
        case smtplib.SMTPNotSupportedError():
            return DeadLetter("the mail server takes no address with letters beyond ASCII")
    return GatewayError(f"the mail could not be sent: {type(refused).__name__}")


def _kind(error: OSError) -> str:
    return TimeoutError.__name__ if has_timed_out(error) else type(error).__name__


def _bytes(refused: smtplib.SMTPResponseException) -> bytes:
    text = refused.smtp_error
    return text if isinstance(text, bytes) else text.encode(errors="replace")
