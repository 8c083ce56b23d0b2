"""Events in files of their own, for commands that are run on one state of the code and another."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.tree import ROOT

V1 = '''
    class ParcelWeighedV1(Event, type="parcel.weighed", version=1, source="shipping"):
        """The weight in grams."""

        grams: int
'''
V2 = '''
    class ParcelWeighed(Event, type="parcel.weighed", version=2, source="shipping"):
        """The weight in grams, and the scale."""

        grams: int
        scale: str
'''
UPCASTER = '''
    @upcaster(ParcelWeighedV1, ParcelWeighed)
    def add_scale(old: ParcelWeighedV1) -> ParcelWeighed:
        """Name the scale unknown."""
        return ParcelWeighed(grams=old.grams, scale="unknown")
'''
_PROGRAM = """
import parcels
from events.cli.contracts import contracts
contracts()
"""


class Repository:
    """A folder with events of its own in `parcels.py`, and their contracts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def code(self, *parts: str) -> "Repository":
        """Write the events anew."""
        text = "".join(dedent(part) for part in parts)
        (self.folder / "parcels.py").write_text(f"from events import Event, upcaster\n\n{text}")
        return self

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of `contracts` in a process of its own, which knows these events only."""
        return subprocess.run(
            [sys.executable, "-c", _PROGRAM, *words],
            cwd=self.folder,
            env={"PYTHONPATH": f"{self.folder}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def committed(self, *parts: str) -> "Repository":
        """Write these events, and their contracts."""
        run = self.code(*parts).run("write")
        assert run.returncode == 0, run.stdout + run.stderr
        return self

    def contract(self, name: str) -> Path:
        """Return the file of a contract."""
        return self.folder / "contracts" / name


def line_of(repository: Repository, text: str) -> int:
    """Return the line of `parcels.py` that contains `text`."""
    lines = (repository.folder / "parcels.py").read_text().splitlines()
    [found] = [number for number, line in enumerate(lines, 1) if text in line]
    return found


def verdicts(answer: Any) -> list[tuple[str, str]]:
    """Return the event and verdict of each finding."""
    return [(each["event"], each["verdict"]) for each in answer["findings"]]
