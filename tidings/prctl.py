"""Requests to the kernel about this process, by prctl(2). Other systems than Linux ignore them."""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER: Final = 36


def end_with_parent(parent: int) -> None:
    """End this process by SIGTERM when its parent dies (Linux only)."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise SystemExit("the parent has ended")


def prctl(option: int, value: int) -> None:
    """Set one option."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), 0, 0, 0)
