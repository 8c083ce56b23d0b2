"""The C allocator of the processes that the supervisor forks (glibc only)."""

import ctypes
import sys
from typing import Any

_M_ARENA_MAX = -8  # malloc.h
# Bytes: large pieces, then each size of which malloc keeps some apart, down to the least.
_HOLES = (*(65_536 >> n for n in range(6)), *range(1032, 0, -16))


def limit_arenas() -> None:
    """Limit each process to two malloc arenas instead of eight per core."""
    if libc := _glibc():
        libc.mallopt(_M_ARENA_MAX, 2)


def fill_holes() -> int:
    """Allocate the free pieces between the supervisor's objects for good; return their bytes.

    A process would put its own objects there, and each would cost it a copy of a page that it
    shares with all others. Filling 0.5 MB saves 2 MB in every worker (docs/performance.md).
    """
    libc = _glibc()
    if libc is None:
        return 0
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
    libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
    end, filled = libc.sbrk(0), 0
    for size in _HOLES:
        while (piece := libc.malloc(size)) and piece < end:
            filled += size
        libc.free(piece)
    return filled


def _glibc() -> Any:
    """Return the C library of this process, if it is glibc."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "gnu_get_libc_version") else None
