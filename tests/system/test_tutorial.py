"""The commands of the tutorial from `make up` on, on a copy of the checkout with its files."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests import tutorial
from tests.servers import HANG, wait_until
from tests.tidings.up.instance import CLEARED, Instance
from tests.tree import ROOT
from tidings.http_client import open_client

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(600)]
EVE = {"name": "Eve", "email": "eve@example.com"}
HANDLER = "tasks/loyalty.py"
DOCSTRING = '    """Add the order\'s total to the customer\'s points."""\n'
# Those of the tutorial are used up after minutes.
QUICK = ('queue="loyalty")', 'queue="loyalty", retry=Retry(attempts=2, first=0.1, cap=0.2))')


class Newcomer(Instance):
    """A newcomer's checkout, its `make up`, and a second terminal in its folder."""

    def __init__(self, home: Path) -> None:
        self.code = home / "code"
        self.code.mkdir()
        tutorial.copy_checkout(self.code)
        tutorial.write_files(self.code)
        super().__init__(home, PYTHONPATH=str(self.code))
        self.command = [sys.executable, "-P", "-m", "tidings", *self.command[1:]]
        self.command[self.command.index(str(self.data))] = str(self.code / "var")
        self.data = self.code / "var"
        program = home / "bin/tidings"  # that of the environment belongs to this checkout
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m tidings "$@"\n')
        program.chmod(0o755)
        clean = {name: value for name, value in os.environ.items() if name not in CLEARED}
        path = f"{program.parent}:{os.environ['PATH']}"
        self.terminal = clean | {"PYTHONPATH": str(self.code), "PATH": path}

    def type(self, beginning: str) -> subprocess.CompletedProcess[str]:
        """Type the command of the tutorial that begins so."""
        [command] = {each for each in tutorial.commands() if each.startswith(beginning)}
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.code,
            env=self.terminal,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def types(self, beginning: str) -> str:
        """Type a command that must succeed, and return its output."""
        done = self.type(beginning)
        assert done.returncode == 0, done.stdout + done.stderr + self.log()[-3000:]
        return done.stdout

    def edit(self, *changes: tuple[str, str]) -> None:
        """Replace parts of the service's code."""
        code = (self.code / HANDLER).read_text()
        for old, new in changes:
            assert old in code
            code = code.replace(old, new)
        (self.code / HANDLER).write_text(code)

    def page(self, order: dict[str, str]) -> str:
        """Return the operators' page of an order."""
        user, _, password = self.login().partition(":")
        with open_client(self.url, timeout=HANG) as client:
            found = client.get(f"/ops/orders/{order['id']}", auth=(user, password))
        return found.raise_for_status().text

    def has_points(self) -> bool:
        """Return true if Eve has points."""
        engine = create_engine(f"sqlite:///{self.data}/tidings.sqlite")
        try:
            with engine.connect() as connection:
                found = text("SELECT 1 FROM loyalty_points WHERE email = 'eve@example.com'")
                return connection.scalar(found) is not None
        finally:
            engine.dispose()


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    newcomer = Newcomer(tmp_path)
    newcomer.start()
    yield newcomer
    newcomer.stop(60)


def eraser() -> str:
    """Return the eraser of the how-to, without the table that it repeats."""
    [code] = re.findall(
        r"<!-- eraser -->\n```python\n(.*?)```", (ROOT / "docs/how-to.md").read_text(), re.DOTALL
    )
    imports = [line for line in code.splitlines() if "erasure" in line or "person import" in line]
    function = code[code.index("@register_eraser") :]
    return "\n".join(["from sqlalchemy import delete, func", *imports, "\n", function])


def test_what_the_tutorial_says_is_what_a_newcomer_sees(newcomer: Newcomer):
    order = newcomer.order()
    wait_until(lambda: "loyalty" in newcomer.page(order), what="the subscriber on the page")
    backfill = newcomer.type("tidings backfill")  # its service was there before the first order
    assert (backfill.returncode, backfill.stdout) == (4, "")
    assert "loyalty.award_points has every earlier event of its types already" in backfill.stderr

    broken = DOCSTRING + tutorial.block("broken")
    imports = ("import Base, get_or_create_locked", "import Base, Retry, get_or_create_locked")
    newcomer.edit((DOCSTRING, broken), QUICK, imports)
    assert "ready: " in newcomer.types("tidings restart")
    order = newcomer.order(customer=EVE)
    wait_until(lambda: newcomer.status(order) == "shipped", what="the parcel")
    wait_until(
        lambda: "loyalty.award_points" in newcomer.types("tidings dead-letters list"),
        what="the dead letter",
    )
    assert "no points for Eve" in newcomer.page(order)

    newcomer.edit((tutorial.block("broken"), ""))
    newcomer.types("tidings restart")
    newcomer.types("tidings dead-letters replay")
    wait_until(newcomer.has_points, what="Eve's points")
    erased = newcomer.type("tidings erase")
    assert (erased.returncode, "loyalty_points.email (tasks.loyalty)" in erased.stderr) == (3, True)
    service = newcomer.code / HANDLER
    service.write_text(f"{service.read_text()}\n\n{eraser()}")
    newcomer.types("tidings erase")
