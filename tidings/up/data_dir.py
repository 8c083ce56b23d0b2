"""The data directory of `up`: its lock, its secrets, its files."""

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

from tidings.up.private_files import (
    CannotStart,
    close_files,
    close_folder,
    take_folder,
)

__all__ = ["CannotStart", "DataDir", "new_ops_login"]
# Seconds for the last processes of a killed `up` to end; a worker first finishes its tasks, for up
# to 40 s (`_WORKER_GRACE` in processes.py).
LOCK_TIMEOUT = 60.0
_FILES = ("tidings.sqlite*", "up.lock", "ops_auth*", "flower_auth*", "secret_key*", "flower_url")
_MAX_SECRET = 10_000  # bytes
# The address of a unix socket holds 104 bytes on macOS; other characters need quoting in a URL.
_SOCKET_PATH = re.compile(r"[\w./-]{1,100}", re.ASCII)


class DataDir:
    """A data directory. Only one `up` uses it at a time."""

    def __init__(self, folder: Path) -> None:
        self._given = folder.absolute()
        self.folder = Path(os.path.realpath(folder))  # `resolve` ends at a loop of links
        self.mode_before: int | None = None  # that of a folder to which others could write

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "tidings.sqlite"

    @property
    def database_url(self) -> str:
        """The default of `DATABASE_URL`."""
        return URL.create("sqlite", database=str(self.database)).render_as_string()

    @property
    def mails(self) -> Path:
        """The folder of the mail sink."""
        return self.folder / "mail"

    @property
    def broker(self) -> Path:
        """The folder of the broker's append-only file."""
        return self.folder / "broker"

    @property
    def broker_socket(self) -> Path:
        """The broker's unix socket: here, or in a private temporary folder if the path is too long
        or needs quoting."""
        path = self.folder / "broker.sock"
        if _SOCKET_PATH.fullmatch(str(path)):
            return path
        digest = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"tidings-{os.getuid()}-{digest}" / "broker.sock"

    @property
    def restart_socket(self) -> Path:
        """The unix socket of `tidings restart`, in a folder that only its owner can enter."""
        return self.broker_socket.with_name("up.sock")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the data directory. Every process of `up` inherits the lock, so it is free when the
        last of them has ended.

        Raises `CannotStart` if another `up` holds it, the directory cannot be written, or another
        user can write to it.
        """
        with self._writable():
            self.mode_before = take_folder(self._given)
            for folder in {self.mails, self.broker, self.broker_socket.parent} - {self.folder}:
                close_folder(folder)
            close_files(self.folder, _FILES)
            file = (self.folder / "up.lock").open("a+b", buffering=0)
        with file:
            self._lock(file.fileno())
            file.truncate(0)
            with self._writable():
                file.write(f"{os.getpid()}\n".encode())
            yield
            file.truncate(0)

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # a full disk, a read-only file system, missing permissions
            raise CannotStart(
                f"{self.folder} cannot be used: {error.strerror}; "
                "correct that, or name another --data-dir"
            ) from error

    def _lock(self, lock: int) -> None:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = self._pid_of_lock()
                if pid and psutil.pid_exists(pid):
                    raise CannotStart(
                        f"another `tidings up` (pid {pid}) is using {self.folder}; "
                        "stop it, or name another --data-dir"
                    ) from None
                if time.monotonic() > deadline:
                    raise CannotStart(
                        f"processes of an earlier `tidings up` (pid {pid}, killed) still use "
                        f"{self.folder}; end them, or name another --data-dir"
                    ) from None
                time.sleep(0.1)
            else:
                return

    def _pid_of_lock(self) -> int:
        written = (self.folder / "up.lock").read_bytes()[:20].strip()
        return int(written) if written.isdigit() else 0

    def secret(self, name: str, make: Callable[[], str]) -> str:
        """Return the secret in the file `name`, which `make` creates the first time.

        Only the owner can read the file. Raises `CannotStart`.
        """
        path = self.folder / name
        with self._writable():
            if not path.exists():
                draft = path.with_suffix(".new")
                draft.unlink(missing_ok=True)
                draft.touch(mode=0o600)
                with draft.open("w") as file:
                    file.write(make())
                    file.flush()
                    os.fsync(file.fileno())  # or a power cut leaves an empty file
                draft.rename(path)
            text = path.read_bytes()[:_MAX_SECRET].decode(errors="replace").strip()
        if not (text.isprintable() and text) or "\ufffd" in text:
            raise CannotStart(
                f"{path} is not one line with a secret; delete it, and the next start makes a new "
                "one, or write yours into it"
            )
        return text

    def write(self, name: str, text: str) -> None:
        """Write a text to the file `name` for other commands. Raises `CannotStart`."""
        with self._writable():
            (self.folder / name).write_text(text)


def new_ops_login() -> str:
    """Return a new login for the ops pages and Flower."""
    return f"ops:{secrets.token_urlsafe(12)}"
