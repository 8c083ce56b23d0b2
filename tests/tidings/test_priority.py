"""Who goes first on a busy machine."""

import os
import subprocess
import sys

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
