"""Mail over SMTP to `SMTP_URL`. The sandbox's switch also works here, to rehearse an outage."""

import smtplib
import ssl
import threading
import time
from contextlib import suppress
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from events import DeadLetter, reading
from tasks.gateways.ports import GatewayDown, GatewayError
from tasks.gateways.sandbox import check
from tasks.mail_settings import PORTS
from tasks.settings import settings

SOCKET_TIMEOUT = 10.0  # seconds for each answer of the server, below the time limit of a task
MAX_IDLE = 5.0  # seconds; servers close idle connections after a minute or more


class SmtpMailer:
    """A mailer that keeps idle connections for a while: to open one costs more than a mail."""

    def send(self, message: EmailMessage) -> None:
        """Send one mail. Raises `DeadLetter` if the server refuses it for good.

        No error contains an address.
        """
        with reading() as session:
            check(session, "email")
        url = settings().smtp_url
        try:
            server = _idle.take(url) or _connect(url)
        except OSError as error:
            raise GatewayDown(f"the mail server is unreachable: {type(error).__name__}") from error
        try:
            server.send_message(message)
        except smtplib.SMTPRecipientsRefused as refused:
            _quit(server)
            code, _ = next(iter(refused.recipients.values()))
            raise _refusal("the recipient", code) from None
        except smtplib.SMTPResponseException as refused:
            _quit(server)
            raise _refusal("the mail", refused.smtp_code) from None
        except BaseException:
            server.close()
            raise
        _idle.put_back(url, server)


class _IdleConnections:
    """The connections that no thread of this process uses now, the latest used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: list[tuple[float, str, smtplib.SMTP]] = []

    def take(self, url: str) -> smtplib.SMTP | None:
        """Return a connection to `url` that answers, if there is one."""
        while found := self._pop():
            since, known_url, server = found
            if known_url == url and time.monotonic() - since < MAX_IDLE and _answers(server):
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


def _answers(server: smtplib.SMTP) -> bool:
    try:
        return server.noop()[0] == 250
    except (smtplib.SMTPException, OSError):
        return False


def _quit(server: smtplib.SMTP) -> None:
    # The mail is accepted or refused by now; an error of QUIT changes neither.
    with suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()


def _connect(url: str) -> smtplib.SMTP:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, port, timeout=SOCKET_TIMEOUT, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(host, port, timeout=SOCKET_TIMEOUT)
    try:
        if parts.scheme == "smtp+starttls":
            server.starttls(context=ssl.create_default_context())
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
    except OSError:  # includes SMTPException
        server.close()
        raise
    return server


def _refusal(refused: str, code: int) -> Exception:
    if code >= 500:
        return DeadLetter(f"the mail server refuses {refused}: {code}")
    return GatewayError(f"the mail server cannot take {refused} now: {code}")
