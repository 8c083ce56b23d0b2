"""The local mail sink: takes every mail and keeps it as an .eml file, so that nothing leaves this machine."""

import asyncio
import signal
from datetime import UTC, datetime
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY, socket

from aiosmtpd.smtp import SMTP, Envelope, Session
from setproctitle import setproctitle
from uuid_utils.compat import uuid7

LARGEST_MAIL = 1 << 20  # bytes


class Keep:
    """Keeps each mail in a file of its own; the names sort by time of arrival."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        """Keep one mail. It is complete as soon as it can be seen."""
        content = (
            envelope.content
            if isinstance(envelope.content, bytes)
            else (envelope.content or "").encode()
        )
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid7()}"
        draft = self.folder / f".{name}"
        draft.write_bytes(content)
        draft.rename(self.folder / f"{name}.eml")
        return "250 kept"


def serve(listening: socket, folder: Path) -> None:
    """Take mails on `listening` until told to end."""
    setproctitle("tidings: mail sink")
    folder.mkdir(parents=True, exist_ok=True)
    # The greeting is written line by line: without this each mail waits 40 ms for an acknowledgement. asyncio sees to it only
    # for sockets that name their protocol, and those that `socket.create_server` makes do not.
    listening.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    asyncio.run(_serve(listening, folder))


async def _serve(listening: socket, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    keep = Keep(folder)
    server = await loop.create_server(
        lambda: SMTP(keep, data_size_limit=LARGEST_MAIL, ident="Tidings mail sink"), sock=listening
    )
    async with server:
        await stop.wait()
