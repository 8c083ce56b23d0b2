"""Being told by Linux that a file of a folder was written, by inotify.

See https://man7.org/linux/man-pages/man7/inotify.7.html. The library has no module for it.
"""

import ctypes
import os
import select
import struct
import sys
from contextlib import suppress
from pathlib import Path

_MODIFY, _OVERFLOW = 0x2, 0x4000  # IN_MODIFY, IN_Q_OVERFLOW
_FLAGS = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)  # what IN_NONBLOCK and IN_CLOEXEC are
_HEADER = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_BUFFER = 1 << 16


class FileEvents:
    """Waits for a write to one file, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        """Watch the file's folder. Raises `OSError` where that is impossible."""
        if sys.platform != "linux":
            raise OSError("only Linux has inotify")
        library = ctypes.CDLL(None, use_errno=True)
        self._name = os.fsencode(path.name)
        self._descriptor: int = _checked(library.inotify_init1(_FLAGS))
        try:
            folder = os.fsencode(path.parent)
            _checked(library.inotify_add_watch(self._descriptor, folder, _MODIFY))
        except OSError:
            self.close()
            raise

    def wait(self, seconds: float) -> bool:
        """Return whether the file was written since the last wait, or within the time."""
        ready, _, _ = select.select([self._descriptor], [], [], max(0.0, seconds))
        found = False
        with suppress(BlockingIOError):
            while ready:
                found = self._names_file(os.read(self._descriptor, _BUFFER)) or found
        return found

    def _names_file(self, events: bytes) -> bool:
        start = 0
        while start < len(events):
            _, mask, _, length = _HEADER.unpack_from(events, start)
            start += _HEADER.size + length
            name = events[start - length : start].rstrip(b"\0")
            if mask & _OVERFLOW or name == self._name:
                return True
        return False

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
