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


SESSIONS = """
import os
from pathlib import Path
from tidings.prctl import prctl
from tidings.priority import set_session_niceness

if os.getuid() == 0:
    os.setuid(65534)  # the kernel then takes one change in a tenth of a second
    prctl(4, 1)  # PR_SET_DUMPABLE, which setuid takes away: or root owns its files in /proc
for niceness in (5, 15):
    reading, writing = os.pipe()
    if (leader := os.fork()) == 0:
        os.close(writing)
        os.setsid()
        os.read(reading, 1)
        os._exit(0)
    while not set_session_niceness(leader, niceness):
        pass
    print(Path(f"/proc/{leader}/autogroup").read_text().split()[-1])
    os.close(reading), os.close(writing)
"""


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="the kernel has no autogroup feature"
)
def test_a_program_gives_way_to_other_sessions_too() -> None:
    told = subprocess.run(
        [sys.executable, "-c", SESSIONS], check=True, capture_output=True, text=True
    )

    assert told.stdout.split() == ["5", "15"]
