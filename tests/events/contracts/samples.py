"""Events in a file of their own, for commands that run on one state of the code and another."""

import linecache
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from click.testing import CliRunner, Result

import events.event
from events.cli.contracts import contracts

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


class Repository:
    """A folder with events of its own in `parcels.py`, and their contracts."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, patch
        patch.chdir(folder)
        patch.setattr(sys, "dont_write_bytecode", True)  # a file is rewritten within one second

    def code(self, *parts: str) -> "Repository":
        """Write the events anew; they are then the only ones that this process knows."""
        text = "".join(dedent(part) for part in parts)
        path = self.folder / "parcels.py"
        path.write_text(f"from events import Event, upcaster\n\n{text}")
        self._patch.setattr(events.event, "_classes", {})
        self._patch.setattr(events.event, "_upcasters", {})
        linecache.clearcache()
        module = module_from_spec(spec := spec_from_file_location("parcels", path))
        self._patch.setitem(sys.modules, "parcels", module)
        spec.loader.exec_module(module)
        return self

    def run(self, *words: str) -> Result:
        """Run a command of `contracts` on these events."""
        return CliRunner().invoke(contracts, list(words))

    def committed(self, *parts: str) -> "Repository":
        """Write these events, and their contracts."""
        run = self.code(*parts).run("write")
        assert run.exit_code == 0, run.output
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
