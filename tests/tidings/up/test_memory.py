"""The memory that the processes of `up` share, because the supervisor has it before it forks."""

import json
import subprocess
import sys

import pytest

from tests.servers import HANG

SCRIPT = """
import ctypes, json, sys
import tidings.up.run
from tidings.up import allocator, warmup

warmup.freeze()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
end = libc.sbrk(0)
filled = allocator.fill_holes()
pieces = [libc.malloc(size) for size in (100, 1000, 10_000) for _ in range(50)]
print(json.dumps([sorted(sys.modules), filled, sum(piece < end for piece in pieces)]))
"""


def test_the_supervisor_keeps_no_unused_module_and_leaves_forks_no_hole():
    asked = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=HANG, check=True
    )
    modules, filled, in_holes = json.loads(asked.stdout)

    unused = {"alembic", "mako", "prompt_toolkit", "celery.bin.celery", "tidings.chaos"}
    assert sorted(unused & set(modules)) == []
    assert {"tasks.celery", "web", "flower.app", "tornado.web", "kombu.pidbox"} <= set(modules)
    if sys.platform != "linux":
        pytest.skip("only glibc's holes are filled")
    assert filled > 0
    assert in_holes < 10, "what Python freed in the meantime may be used again"
