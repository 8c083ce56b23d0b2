"""A small file system that tests really fill up and make read-only."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from events import Database
from tests.servers import missing

SIZE = 24  # MB, enough for a database, its log and the log of a broker


class Disk:
    """A file system in memory, mounted at `folder`, as root or with sudo without a password."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        options = f"size={SIZE}m,mode=0777"
        if not self._as_root("mount", "-t", "tmpfs", "-o", options, "tidings-test", str(folder)):
            missing("the right to mount a file system of its own (root)")

    def _as_root(self, *words: str) -> bool:
        command = words if os.geteuid() == 0 else ("sudo", "--non-interactive", *words)
        try:
            return subprocess.run(command, check=False, capture_output=True).returncode == 0
        except FileNotFoundError:
            return False

    def fill(self, *, but: int = 0) -> None:
        """Use up the free space, but so many bytes."""
        self._fill()
        filling = self.folder / "filling"
        os.truncate(filling, max(0, filling.stat().st_size - but))

    def _fill(self) -> None:
        with (self.folder / "filling").open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                return

    def make_room(self) -> None:
        """Undo `fill`."""
        (self.folder / "filling").unlink()

    def seal(self) -> None:
        """Remount it read-only, which fails while a file is open for writing."""
        sealed = self._as_root("mount", "-o", "remount,ro", str(self.folder))
        assert sealed, "a file is still open for writing"

    def unseal(self) -> None:
        """Undo `seal`."""
        assert self._as_root("mount", "-o", "remount,rw", str(self.folder))

    def close(self) -> None:
        """Unmount it, which deletes everything on it."""
        self._as_root("umount", "--lazy", str(self.folder))


@contextmanager
def connected(database: Database) -> Iterator[None]:
    """Hold a connection that has begun to write; afterwards it stays in the pool."""
    with database.transaction() as session:
        session.execute(text("SELECT 1"))
        yield


def left_by_a_kill(database: Database) -> Database:
    """Copy SQLite's files in the middle of a write."""
    path = Path(database.url.database or "")
    with connected(database):
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copyfile(file, path.parent / file.name.replace("tidings", "left"))
    database.close()
    return Database(f"sqlite:///{path.parent / 'left.sqlite'}")
