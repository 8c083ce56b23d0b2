"""The local mail sink: stores every mail as an .eml file, so that none leaves this machine."""

import asyncio
import re
import signal
from datetime import UTC, datetime
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY, socket

from aiosmtpd.smtp import SMTP, Envelope, Session, syntax
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
        """Offer PIPELINING and CHUNKING: a mail and its commands may come together."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-CHUNKING", responses[-1]]

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


_PLAIN_ADDRESS = re.compile(r"<([\w.+-]+@[\w.-]+)>(.*)", re.ASCII)
_CHUNK = re.compile(r"([0-9]{1,9})( LAST)?", re.IGNORECASE)


class MailServer(SMTP):
    """A server that takes a mail as a chunk, and answers what came together in one packet, too.

    To send each answer took a third of the sink's CPU, and woke the client each time; to read the
    text of a mail line by line took another.
    """

    _answers = b""

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Take a plain address without aiosmtpd's parser, which took a tenth of a mail."""
        plain = _PLAIN_ADDRESS.fullmatch(arg)
        return (plain[1], plain[2]) if plain else super()._getaddr(arg)

    @syntax("BDAT SIZE [LAST]")
    async def smtp_BDAT(self, arg: str | None) -> None:  # noqa: N802  aiosmtpd's name
        """Take a mail, or a part of it, of which the size is known (RFC 3030)."""
        found = _CHUNK.fullmatch(arg or "")
        if found is None:  # how much follows is unknown, and it would be read as commands
            await self.push("421 Syntax: BDAT SIZE [LAST]")
            self._writer.close()
            return
        session, envelope = self.session, self.envelope
        assert session is not None
        assert envelope is not None
        before = envelope.content if isinstance(envelope.content, bytes) else b""
        chunk = await self._chunk(int(found[1]), room=MAX_MAIL_SIZE - len(before))
        status = "250 continue"
        if not envelope.rcpt_tos:
            status = "503 Error: need RCPT command"
        elif chunk is None:
            status = "552 Error: Too much mail data"
        else:
            envelope.content = before + chunk
            if found[2]:
                status = await self.event_handler.handle_DATA(self, session, envelope)
        if chunk is None or found[2]:
            self._set_post_data_state()  # type: ignore[no-untyped-call]  # begin the next mail
        await self.push(status)

    async def _chunk(self, size: int, *, room: int) -> bytes | None:
        """Read so many bytes; return nothing if there is no room for them."""
        if size <= room:
            return await self._reader.readexactly(size)
        while size:
            size -= len(await self._reader.readexactly(min(size, 1 << 16)))
        return None

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
