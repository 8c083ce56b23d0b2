"""The data directory of one `up`: its lock, its secrets, its files."""

import fcntl
import hashlib
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from sqlalchemy import URL

from events import TidingsError

_SOCKET_PATH = re.compile(
    r"[\w./-]{1,100}", re.ASCII
)  # a unix socket's address holds 104 bytes at least; the rest would need quoting in a URL
_PATIENCE = 15.0  # seconds to wait for the last processes of an `up` that was killed


class CannotStart(TidingsError):
    """`up` cannot start; nothing was started."""


class Home:
    """One data directory. Only one `up` uses it at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @property
    def database_url(self) -> str:
        """Where the database is unless `DATABASE_URL` says otherwise."""
        return URL.create("sqlite", database=str(self.folder / "tidings.sqlite")).render_as_string()

    @property
    def mails(self) -> Path:
        """Where the mail sink puts mails."""
        return self.folder / "mail"

    @property
    def broker(self) -> Path:
        """Where the broker keeps its messages."""
        return self.folder / "broker"

    @property
    def broker_socket(self) -> Path:
        """The broker's unix socket: in the data directory, or in a private folder with a short name if that one's is too long."""
        path = self.folder / "broker.sock"
        if _SOCKET_PATH.fullmatch(str(path)):
            return path
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"tidings-{os.getuid()}-{digest}" / "broker.sock"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the data directory. Every process of `up` inherits the lock: it is free when the last of them is gone.

        Raises `CannotStart` when another `up` has it, or when nothing can be written there.
        """
        with self._usable():
            for folder in (self.folder, self.mails, self.broker, self.broker_socket.parent):
                _private(folder)
            file = (self.folder / "up.lock").open("a+b", buffering=0)
        with file:
            self._take(file.fileno())
            file.truncate(0)
            with self._usable():
                file.write(f"{os.getpid()}\n".encode())
            yield
            file.truncate(0)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except (
            OSError
        ) as error:  # a full disk, a file system that is read-only, a folder of somebody else's
            raise CannotStart(
                f"{self.folder} cannot be used: {error.strerror}; mend that, or name another --data-dir"
            ) from error

    def _take(self, lock: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = int((self.folder / "up.lock").read_text().strip() or 0)
                if pid and psutil.pid_exists(pid):
                    raise CannotStart(
                        f"another `tidings up` (pid {pid}) is using {self.folder}; stop it, or name another --data-dir"
                    ) from None
                if time.monotonic() > deadline:
                    raise CannotStart(
                        f"processes of an earlier `tidings up` (pid {pid}, killed) still use {self.folder}; end them first"
                    ) from None
                time.sleep(0.1)
            else:
                return

    def secret(self, name: str, make: Callable[[], str]) -> str:
        """The secret kept in the file `name`, made by `make` the first time. Nobody else can read it. Raises `CannotStart`."""
        path = self.folder / name
        with self._usable():
            if not path.exists():
                draft = path.with_suffix(".new")
                draft.unlink(missing_ok=True)
                draft.touch(mode=0o600)
                draft.write_text(make())
                draft.rename(path)
            return path.read_text().strip()

    def note(self, name: str, text: str) -> None:
        """Leave a text in the file `name` for commands beside `up`. Raises `CannotStart`."""
        with self._usable():
            (self.folder / name).write_text(text)


def ops_login() -> str:
    """A new login for the ops pages and Flower."""
    return f"ops:{secrets.token_urlsafe(12)}"


def _private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise CannotStart(f"{folder} belongs to somebody else; name another --data-dir")
