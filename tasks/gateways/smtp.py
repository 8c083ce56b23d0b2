"""Mail over SMTP to `SMTP_URL`. The sandbox's switch also works here, to rehearse an outage."""

import select
import smtplib
import ssl
import threading
import time
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from events import DeadLetter, reading
from tasks.gateways import pipelined_smtp
from tasks.gateways.ports import GatewayDown, GatewayError, MailMessage
from tasks.gateways.sandbox import check
from tasks.gateways.smtp_answers import describe, error_of
from tasks.mail_settings import PORTS
from tasks.settings import settings

SOCKET_TIMEOUT = 10.0  # seconds for each answer of the server, below the time limit of a task
MAX_IDLE = 5.0  # seconds; servers close idle connections after a minute or more
# Seconds after which an idle connection is asked with NOOP: a third of the round trips of a mail.
# Until then it is open unless it has something to read, a farewell or its end.
ASK_AFTER = 1.0


class SmtpMailer:
    """A mailer that keeps idle connections for a while: to open one costs more than a mail."""

    def send(self, message: MailMessage) -> None:
        """Send one mail.

        Raises `DeadLetter` if the server refuses it for good, and `NotNow` if the server cannot
        take it now or is unreachable. No error contains an address.
        """
        with reading() as session:
            check(session, "email", lambda sandbox, code, _: error_of("the mail", code))
        url = settings().smtp_url
        server = _idle.take(url) or _reached(url)
        try:
            _send(server, message)
        except smtplib.SMTPException as refused:
            _quit(server)
            raise _error(refused) from None
        except OSError as error:  # a time-out, a lost connection
            server.close()
            raise GatewayDown(f"the mail server was lost: {type(error).__name__}") from error
        except BaseException:
            server.close()
            raise
        _idle.put_back(url, server)


def _send(server: smtplib.SMTP, message: MailMessage) -> None:
    options: tuple[str, ...] = ()
    if not message.recipient.isascii():  # the sender is: `check_mailbox` sees to it
        if not server.has_extn("smtputf8"):
            raise smtplib.SMTPNotSupportedError
        options = ("SMTPUTF8", "BODY=8BITMIME")
    server.sendmail(message.sender, [message.recipient], message.content.encode(), options)


class _IdleConnections:
    """The connections that no thread of this process uses now, the latest used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: list[tuple[float, str, smtplib.SMTP]] = []

    def take(self, url: str) -> smtplib.SMTP | None:
        """Return a connection to `url` that answers, if there is one."""
        while found := self._pop():
            since, known_url, server = found
            idle = time.monotonic() - since
            if known_url == url and idle < MAX_IDLE and _is_open(server, ask=idle > ASK_AFTER):
                return server
            _quit(server)
        return None

    def put_back(self, url: str, server: smtplib.SMTP) -> None:
        """Keep a connection for the next mail."""
        with self._lock:
            self._servers.append((time.monotonic(), url, server))

    def _pop(self) -> tuple[float, str, smtplib.SMTP] | None:
        with self._lock:
            return self._servers.pop() if self._servers else None


_idle = _IdleConnections()


def _is_open(server: smtplib.SMTP, *, ask: bool) -> bool:
    if server.sock is None:
        return False
    readable = select.poll()
    readable.register(server.sock, select.POLLIN)
    try:
        return not readable.poll(0) and (not ask or server.noop()[0] == 250)
    except (smtplib.SMTPException, OSError):
        return False


def _quit(server: smtplib.SMTP) -> None:
    # The mail is accepted or refused by now; an error of QUIT changes neither.
    with suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()


def _reached(url: str) -> smtplib.SMTP:
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
        raise GatewayDown(f"the mail server is unreachable: {type(error).__name__}") from error


def _connect(url: str) -> smtplib.SMTP:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    if parts.scheme == "smtps":
        server: smtplib.SMTP = pipelined_smtp.SMTP_SSL(
            host, port, timeout=SOCKET_TIMEOUT, context=ssl.create_default_context()
        )
    else:
        server = pipelined_smtp.SMTP(host, port, timeout=SOCKET_TIMEOUT)
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
        case smtplib.SMTPResponseException():
            return error_of("the mail", refused.smtp_code, _bytes(refused))
        case smtplib.SMTPServerDisconnected():
            return GatewayDown("the mail server was lost: SMTPServerDisconnected")
        case smtplib.SMTPNotSupportedError():
            return DeadLetter("the mail server takes no address with letters beyond ASCII")
    return GatewayError(f"the mail could not be sent: {type(refused).__name__}")


def _bytes(refused: smtplib.SMTPResponseException) -> bytes:
    text = refused.smtp_error
    return text if isinstance(text, bytes) else text.encode(errors="replace")
