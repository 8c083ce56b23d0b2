"""A disk without room for the output of a command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked import ROOT
from tests.servers import HANG
from tests.tidings.up.instance import CLEARED

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@pytest.mark.parametrize("words", [("--help",), ("catalog", "--help"), ("catalog", "--json")])
def test_an_output_that_cannot_be_written_is_told_in_one_line(words: tuple[str, ...]):
    env = {name: value for name, value in os.environ.items() if name not in CLEARED}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tidings", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=HANG,
            check=False,
            cwd=ROOT,
            env=env,
        )

    assert done.returncode == 1
    assert done.stderr == "Error: the output cannot be written: No space left on device\n"
