"""The memory that the processes of `up` share, because the supervisor has it before it forks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import HANG
from tests.tasks.builders import order_data

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

ORDER = """
import json, sys
import tidings.up.run
from babel import localedata
from events import transaction
from events.dry_runs.outside import Calls, refusing
from events.testing import Bus
from tasks import inventory, placing, products
from tasks.commands import PlaceOrder
from tidings.up import warmup
from tidings.up.processes import worker_counts

def place(token):
    asked = json.loads(sys.argv[1])
    placed = asked | {"payment_token": token, "items": [{"sku": "MUG-BLUE", "quantity": 1}]}
    with transaction() as session:
        placing.place(session, PlaceOrder.model_validate(placed))

worker_counts({})
warmup.freeze()
before = set(sys.modules)
locales = set(localedata._cache)
with Bus() as bus, refusing(Calls()):
    with transaction() as session:
        products.seed(session)
        inventory.add_opening_stock(session, products.OPENING_STOCK)
    place("tok_ok")
    bus.drain()
    done = sorted({each.type for each in bus.published})
loaded = sorted(set(localedata._cache) - locales)
print(json.dumps([sorted(set(sys.modules) - before), done, loaded]))
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


def test_the_supervisor_has_all_that_an_order_needs_before_it_forks(tmp_path: Path) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", ORDER, json.dumps(order_data())],
        env=os.environ | {"DATABASE_URL": f"sqlite:///{tmp_path / 'tidings.sqlite'}"},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=True,
    )
    imported, published, locales = json.loads(asked.stdout.splitlines()[-1])

    assert {"order.created", "order.confirmed", "order.shipped"} <= set(published)
    assert imported == []
    assert locales == []
