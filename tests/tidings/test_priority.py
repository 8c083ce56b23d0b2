"""Who goes first on a busy machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tidings.priority import BACKGROUND

ACTS = """
import os
from tidings.cli.output import progress_bar

for act in ("a discard", "an erasure"):
    with progress_bar(act):
        print(os.nice(0))
"""


def test_a_bulk_act_of_the_command_line_gives_way_to_the_web_as_a_worker_does() -> None:
    before = os.nice(0)

    told = subprocess.run([sys.executable, "-c", ACTS], check=True, capture_output=True, text=True)

    assert told.stdout.split() == [str(max(before, BACKGROUND))] * 2


SESSION = """
import os
from pathlib import Path
from tidings.prctl import prctl
from tidings.priority import give_way_as_session

os.setsid()
if os.getuid() == 0:
    os.setuid(65534)  # the kernel then takes one change in a tenth of a second
    prctl(4, 1)  # PR_SET_DUMPABLE, which setuid takes away: or root owns its files in /proc
for more in (5, 1):
    give_way_as_session(more)
print(os.nice(0), Path("/proc/self/autogroup").read_text().split()[-1])
"""


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="the kernel has no autogroup feature"
)
def test_a_program_gives_way_to_other_sessions_too() -> None:
    before = os.nice(0)

    told = subprocess.run(
        [sys.executable, "-c", SESSION], check=True, capture_output=True, text=True
    )

    assert told.stdout.split() == [str(before + 6)] * 2
