"""A run without the resending of lost messages must have findings, or the audit proves nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(400)]

NEVER = "1000000"  # seconds until a delivery counts as lost
CHAOS = [
    sys.executable,
    "-m",
    "tidings",
    "chaos",
    "--orders",
    "200",  # eleven a second, so that messages are on their way whenever a fault comes
    "--minutes",
    "0.3",
]


def test_with_the_ledgers_resend_switched_off_the_same_run_reports_loss(scratch: Path) -> None:
    home = scratch / "off"
    home.mkdir()
    env = os.environ | {"LEASE": NEVER, "TMPDIR": str(home)}
    for seed in (5, 1, 2):  # what a kill hits is chance; that three runs lose nothing is none
        command = [*CHAOS, "--pace", "0.4", "--settle", "12", "--seed", str(seed)]
        run = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=180, check=False
        )
        if run.returncode:
            break

    assert run.returncode == 3, run.stdout + run.stderr
    assert re.search(r"\d+ promises were broken:", run.stdout)
    [folder] = re.findall(r"the data is kept in (\S+):", run.stdout)
    findings = (Path(folder) / "findings").read_text()  # all of them; a terminal gets the first
    assert re.search(
        r"\S+ has not handled \S+ of ORD-\d+: (pending|retrying) after \d+ sends", findings
    )
