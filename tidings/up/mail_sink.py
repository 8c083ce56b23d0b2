"""The local mail sink: stores every mail as an .eml file, so that none leaves this machine."""

import asyncio
import signal
from datetime import UTC, datetime
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY, socket

from aiosmtpd.smtp import SMTP, Envelope, Session
from setproctitle import setproctitle
from uuid_utils.compat import uuid7

MAX_MAIL_SIZE = 1 << 20  # bytes


class MailStore:
    """A handler that stores each mail in a file of its own; the names sort by time of arrival."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_EHLO(  # noqa: N802  aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        """Offer PIPELINING: the commands of a mail may come together."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_DATA(  # noqa: N802  aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Store one mail. The rename makes it visible only when it is complete."""
        content = envelope.content
        if not isinstance(content, bytes):
            content = (content or "").encode()
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid7()}"
        draft = self.folder / f".{name}"
        draft.write_bytes(content)
        draft.rename(self.folder / f"{name}.eml")
        return "250 stored"


class MailServer(SMTP):
    """A server that sends its answers to commands which came together in one packet, too.

    To send each took a third of the sink's CPU, and woke the client each time.
    """

    _answers = b""

    async def push(self, status: str | bytes) -> None:
        """Send an answer as soon as no further command is at hand."""
        line = status if isinstance(status, bytes) else status.encode()
        if not self._answers:
            asyncio.get_running_loop().call_soon(self._flush)
        self._answers += line + b"\r\n"
        if line.startswith((b"221", b"421")):  # the connection is closed next
            self._flush()

    def _flush(self) -> None:
        answers, self._answers = self._answers, b""
        if answers:
            self._writer.write(answers)


def serve(listening: socket, folder: Path) -> None:
    """Accept mails on `listening` until SIGINT or SIGTERM."""
    setproctitle("tidings: mail sink")
    folder.mkdir(parents=True, exist_ok=True)
    # The greeting is written line by line: without this option each mail waits 40 ms for an
    # acknowledgement. asyncio sets it only on sockets that name their protocol, and
    # `socket.create_server` makes sockets that do not.
    listening.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    asyncio.run(_serve(listening, folder))


async def _serve(listening: socket, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    store = MailStore(folder)
    server = await loop.create_server(
        lambda: MailServer(store, data_size_limit=MAX_MAIL_SIZE, ident="Tidings mail sink"),
        sock=listening,
    )
    async with server:
        await stop.wait()
