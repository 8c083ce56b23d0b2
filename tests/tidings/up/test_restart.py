"""`tidings restart`: changed code takes the place of the old one under the same `tidings up`."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.servers import HANG, Process, wait_until
from tests.system.next_version import write_migration
from tests.tidings.up.instance import ORDER, TIDINGS, Instance
from tests.tree import ROOT
from tidings.http_client import open_client
from tidings.up.data_dir import DataDir
from tidings.up.restart import listening

pytestmark = pytest.mark.system

_numbers = count(1)
GREETINGS = '''
"""A service that counts the orders."""

from sqlalchemy.orm import Mapped, Session, mapped_column

from events import Base, subscribe
from events.catalog import OrderCreated


class Greeting(Base):
    """A greeting."""

    __tablename__ = "greetings"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    words: Mapped[str]


@subscribe(OrderCreated, queue="greetings")
def greet(event: OrderCreated, session: Session) -> None:
    """Greet the customer."""
    session.add(Greeting(order_id=event.order_id, words="welcome"))
'''


class Editable(Instance):
    """An instance on a copy of the code that a test may change."""

    def __init__(self, home: Path) -> None:
        self.code = home / "code"
        for package in ("events", "tasks", "tidings", "web"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, self.code / package, ignore=ignored)
        shutil.copy(ROOT / "celeryconfig.py", self.code)
        super().__init__(home, "--scale", "timeline=2", PYTHONPATH=str(self.code))
        self.command = [sys.executable, "-m", "tidings", *self.command[1:]]

    def restart(self) -> Process:
        """Begin `tidings restart`."""
        assert self.running(), self.log()[-2000:]
        home = self.home / f"restart-{next(_numbers)}"
        home.mkdir()
        words = ["-m", "tidings", "restart", "--data-dir", str(self.data)]
        command = Process([sys.executable, *words], home, self.env)
        command.launch()
        return command

    def place_patiently(self) -> str:
        """Place an order, which may have to wait for a restart, and return its id."""
        with open_client(self.url, timeout=HANG) as client:
            answer = client.post("/api/v1/orders", json=ORDER)
        return str(answer.raise_for_status().json()["id"])

    def greeted(self, order: str) -> list[str]:
        """Return the words with which the service of this file greeted an order."""
        return self.asked("SELECT words FROM greetings WHERE order_id = :order", order=order)

    def asked(self, query: str, **values: str) -> list[str]:
        """Return the first column of what the database answers."""
        engine = create_engine(f"sqlite:///{self.data}/tidings.sqlite")
        try:
            with engine.connect() as connection:
                return list(connection.scalars(text(query), values))
        finally:
            engine.dispose()


def end_of(command: Process) -> int | None:
    """Wait for the end of a command and return its exit code."""
    command.wait(HANG)
    return command.exit_code


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editable]:
    """An instance for all tests of this file, which run in their order."""
    instance = Editable(tmp_path_factory.mktemp("restart"))
    instance.start()
    yield instance
    instance.stop(60)


@pytest.mark.slow
def test_a_restart_migrates_and_starts_the_worker_of_a_new_service_at_the_same_address(
    instance: Editable,
):
    (instance.code / "tasks/greetings.py").write_text(GREETINGS)
    write_migration(instance.code)  # made while the old processes work

    command = instance.restart()
    placed = instance.place_patiently()
    while command.running():  # no order is refused meanwhile
        placed = instance.place_patiently()

    assert command.exit_code == 0, command.log()
    assert command.log().splitlines()[-1] == f"ready: {instance.url}"
    assert instance.titled("celeryd: greetings@")
    wait_until(lambda: instance.greeted(placed) == ["welcome"], what="the greeting")
    assert instance.asked("SELECT DISTINCT channel FROM orders") == ["web"]
    assert instance.asked("SELECT subscription FROM attempts") == []
    assert instance.running(), "it is the process that was started"


@pytest.mark.slow
def test_a_restart_runs_changed_code(instance: Editable):
    service = instance.code / "tasks/greetings.py"
    service.write_text(service.read_text().replace("welcome", "welcome again"))

    command = instance.restart()
    assert end_of(command) == 0, command.log()

    order = instance.order()["id"]
    wait_until(lambda: instance.greeted(order) == ["welcome again"], what="the greeting")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("tasks/greetings.py", ("def greet", "deff greet"), "SyntaxError"),
        ("web/ops/overview.py", ("def ", "import none_of_this_name\n\ndef "), "none_of_this_name"),
        ("tasks/timeline.py", ('queue="timeline"', 'queue="times"'), "'timeline'; --scale takes"),
    ],
)
def test_code_that_does_not_work_restarts_nothing(
    instance: Editable, name: str, change: tuple[str, str], reason: str
):
    works = (instance.code / name).read_text()
    before = {each.pid for each in instance.processes()}
    (instance.code / name).write_text(works.replace(*change))

    command = instance.restart()
    assert end_of(command) == 1, command.log()
    (instance.code / name).write_text(works)

    assert command.log().splitlines() == [
        "checking the changed code",
        "the changed code does not work; nothing was restarted",
        "Error: `tidings up` has not restarted; its own output says why",
    ]
    assert reason in instance.log()
    assert instance.said("nothing was restarted")
    assert {each.pid for each in instance.processes()} == before


@pytest.mark.slow
def test_a_signal_to_stop_goes_before_a_restart(instance: Editable):
    """The last test of this file: nothing runs after it."""
    command = instance.restart()
    wait_until(lambda: command.log() or not command.running(), what="the check")
    assert "checking" in command.log()

    instance.stop(60)

    assert not instance.running()
    assert end_of(command) == 1
    assert not DataDir(instance.data).restart_socket.exists()


@pytest.mark.slow
def test_without_an_up_the_command_says_how_to_start_one(tmp_path: Path):
    data_dir = DataDir(tmp_path)
    command = [TIDINGS, "restart", "--data-dir", str(tmp_path)]
    with listening(data_dir):
        pass  # of an `up` that has ended
    answers = [subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)]
    data_dir.restart_socket.touch()  # of an `up` that was killed
    answers += [subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)]

    assert [each.returncode for each in answers] == [1, 1]
    for each in answers:
        assert each.stderr.startswith(f"Error: no `tidings up` answers on {tmp_path} (")
        assert "start it with `make up`" in each.stderr
