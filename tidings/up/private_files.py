"""Files and folders that no other user of the machine can read, replace or redirect."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from events import TidingsError

UMASK = 0o077
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_OTHER_DIR = "or name another --data-dir"


class CannotStart(TidingsError):
    """`up` cannot start; nothing was started."""


def take_folder(folder: Path) -> int | None:
    """Create the folder that a user named, or close it to others if they may write to it.

    Returns the mode that it had if that was changed. Raises `CannotStart` for a folder that others
    own or use, such as /tmp. A symbolic link to it is followed if it is the user's own.
    """
    if folder.is_symlink() and folder.lstat().st_uid not in (0, os.getuid()):
        raise CannotStart(f"{folder} is a symbolic link of another user; name another --data-dir")
    if os.path.lexists(folder) and not folder.is_dir():
        kind = "a symbolic link to no folder" if folder.is_symlink() else "no folder"
        raise CannotStart(f"{folder} is {kind}; move it away, {_OTHER_DIR}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    _require_owner(folder, status)
    if not status.st_mode & _WRITABLE_BY_OTHERS:
        return None
    mode = stat.S_IMODE(status.st_mode)
    if mode & stat.S_ISVTX or any(each.lstat().st_uid != os.getuid() for each in folder.iterdir()):
        raise CannotStart(
            f"{folder} is used by other users, who can write to it (mode {mode:04o}); "
            "name another --data-dir"
        )
    folder.chmod(0o700)
    return mode


def close_folder(folder: Path) -> None:
    """Create a folder that only `up` uses, or close it to others. Raises `CannotStart`."""
    if not os.path.lexists(folder):
        folder.mkdir(mode=0o700, parents=True)
    status = _own_status(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise CannotStart(f"{folder} is no folder; move it away, {_OTHER_DIR}")
    if status.st_mode & UMASK:
        folder.chmod(0o700)


def close_files(folder: Path, patterns: Iterable[str]) -> None:
    """Close the files of these names in `folder` to others. Raises `CannotStart`."""
    patterns = tuple(patterns)
    for path in folder.iterdir():
        if any(fnmatch(path.name, each) for each in patterns):
            with suppress(FileNotFoundError):  # a process that ends removes files of SQLite
                _close_file(path)


def _close_file(path: Path) -> None:
    status = _own_status(path)
    if not stat.S_ISREG(status.st_mode):
        raise CannotStart(f"{path} is no file; move it away, {_OTHER_DIR}")
    if status.st_mode & UMASK:
        path.chmod(stat.S_IMODE(status.st_mode) & ~UMASK)


def _own_status(path: Path) -> os.stat_result:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise CannotStart(
            f"{path} is a symbolic link, which may lead to files of others; "
            f"replace it by what it leads to, {_OTHER_DIR}"
        )
    _require_owner(path, status)
    return status


def _require_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.getuid():
        raise CannotStart(f"{path} belongs to another user; name another --data-dir")
