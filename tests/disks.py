"""A small file system of its own, to be filled up and made read-only in earnest."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from events import Database
from tests.servers import missing

SIZE = 24  # MB: room for a database, its log and a broker's


class Disk:
    """A file system in memory, mounted at `folder`. To mount takes root, or sudo without a password."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        if not self._as_root(
            "mount", "-t", "tmpfs", "-o", f"size={SIZE}m,mode=0777", "tidings-test", str(folder)
        ):
            missing("the right to mount a file system of its own (root)")

    def _as_root(self, *words: str) -> bool:
        command = words if os.geteuid() == 0 else ("sudo", "--non-interactive", *words)
        try:
            return subprocess.run(command, check=False, capture_output=True).returncode == 0
        except FileNotFoundError:
            return False

    def fill(self) -> None:
        """Leave not a byte."""
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
        """Make it read-only. Nobody may have a file on it open for writing."""
        assert self._as_root("mount", "-o", "remount,ro", str(self.folder)), (
            "somebody still writes there"
        )

    def unseal(self) -> None:
        """Undo `seal`."""
        assert self._as_root("mount", "-o", "remount,rw", str(self.folder))

    def close(self) -> None:
        """Take it away with all that is on it."""
        self._as_root("umount", "--lazy", str(self.folder))


@contextmanager
def connected(database: Database) -> Iterator[None]:
    """With a connection that has begun to write; the pool keeps it afterwards."""
    with database.transaction() as session:
        session.execute(text("SELECT 1"))
        yield


def left_by_a_kill(database: Database) -> Database:
    """A copy of SQLite's files as they are while somebody writes."""
    path = Path(database.url.database or "")
    with connected(database):
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copyfile(file, path.parent / file.name.replace("tidings", "left"))
    database.close()
    return Database(f"sqlite:///{path.parent / 'left.sqlite'}")
