"""An application that was built on plain Celery takes the bus, from the wheel, as its page says."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import HANG, Process, Valkey, free_port, wait_until
from tests.tree import ROOT
from tests.wheel import build_wheel, fresh_environment

EXAMPLE = ROOT / "examples/newsletter"
PAGE = (EXAMPLE / "README.md").read_text()
_LOOK = """
import json, sys, tasks, web
shop = {"tidings", "celeryconfig"} | {f"tasks.{each}" for each in ("celery", "orders")}
print(json.dumps([tasks.__file__, web.__file__, sorted(shop & set(sys.modules))]))
"""


class Newsletter:
    """The processes of the newsletter in an environment with nothing but the wheel."""

    def __init__(self, programs: Path, home: Path, broker_url: str) -> None:
        self.home, self._programs, self._port = home, programs, free_port()
        self.env = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ
        } | {
            "DATABASE_URL": f"sqlite:///{home / 'newsletter.sqlite'}",
            "BROKER_URL": broker_url,
        }
        self.started: list[Process] = []

    def deploy(self, folder: Path) -> None:
        for file in folder.glob("*.py"):
            shutil.copy(file, self.home / file.name)

    def start(self, *words: str) -> Process:
        process = Process([str(self._programs / words[0]), *words[1:]], self.home, self.env)
        process.launch()
        self.started.append(process)
        return process

    def run(self, *words: str) -> str:
        run = subprocess.run(
            [str(self._programs / words[0]), *words[1:]],
            cwd=self.home,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def serve(self) -> Process:
        options = ["-m", "flask", "--app", "web", "run", "--port", str(self._port)]
        web = self.start("python", *options)
        wait_until(lambda: self.counts() is not None, what="an answer of the newsletter")
        return web

    def counts(self) -> dict[str, int] | None:
        try:
            url = f"http://127.0.0.1:{self._port}/"
            return dict(httpx.get(url, trust_env=False, timeout=HANG).json())
        except httpx.TransportError:
            return None

    def post(self, page: str, **form: str) -> None:
        url = f"http://127.0.0.1:{self._port}/{page}"
        httpx.post(url, data=form, trust_env=False, timeout=HANG).raise_for_status()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("fresh")
    return fresh_environment(build_wheel(home), home / "environment")


@pytest.fixture
def newsletter(programs: Path, tmp_path: Path, valkey_url: str) -> Iterator[Newsletter]:
    site = Newsletter(programs, tmp_path, valkey_url)
    yield site
    for process in site.started:
        process.kill()


@pytest.mark.slow
def test_an_application_on_plain_celery_moves_one_task_onto_the_bus_and_keeps_the_others(
    newsletter: Newsletter, valkey: Valkey
):
    newsletter.deploy(EXAMPLE)
    newsletter.deploy(EXAMPLE / "before")
    web = newsletter.serve()
    newsletter.post("readers", email="ada@example.com")  # its message waits for a worker
    web.stop()

    newsletter.deploy(EXAMPLE)
    migrated = newsletter.run("python", "-m", "celery", "-A", "tasks", "bus", "migrate")
    relay = newsletter.start("python", "-m", "celery", "-A", "tasks", "bus", "relay")
    worker = newsletter.start(
        *("python", "-m", "celery", "-A", "tasks", "worker", "-Q", "celery,mails", "-l", "INFO")
    )
    newsletter.serve()
    newsletter.post("readers", email="bob@example.com")
    newsletter.post("reports")

    assert "created table deliveries" in migrated
    assert "1 subscriptions are registered" in migrated
    wait_until(
        lambda: newsletter.counts() == {"readers": 2, "mails": 2, "reports": 1},
        what=f"two mails and a report; the logs: {relay.log()} {worker.log()}",
    )
    [row] = json.loads(newsletter.run("tidings", "subscriptions", "list", "--json"))
    assert row["name"] == "mails.welcome_reader"
    [event] = json.loads(newsletter.run("tidings", "events", "list", "--json"))
    assert event["type"] == "newsletter.reader_subscribed"
    assert ": INFO/MainProcess] " in worker.log()  # Celery's own format: its logging stayed


def test_the_bus_loads_nothing_of_the_shop_and_the_application_keeps_its_own_modules(
    newsletter: Newsletter,
):
    newsletter.deploy(EXAMPLE)

    tasks, web, shop = json.loads(newsletter.run("python", "-c", _LOOK))

    assert {Path(tasks).parent, Path(web).parent} == {newsletter.home}
    assert shop == []


def test_a_reader_whose_event_cannot_be_saved_is_not_saved_either(newsletter: Newsletter):
    newsletter.deploy(EXAMPLE)
    newsletter.serve()  # before `bus migrate`

    with pytest.raises(httpx.HTTPStatusError):
        newsletter.post("readers", email="ada@example.com")

    assert newsletter.counts() == {"readers": 0, "mails": 0, "reports": 0}


def _blocks(kind: str = "python") -> list[tuple[str, str]]:
    return re.findall(rf"<!-- (\S+) -->\n```{kind}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("file", "code"), [each for each in _blocks() if each[0] != "alembic"])
def test_the_code_of_the_page_is_that_of_the_files(file: str, code: str):
    assert code in (EXAMPLE / file).read_text()
