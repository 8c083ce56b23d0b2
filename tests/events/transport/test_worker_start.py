"""A worker that starts while something fails."""

from collections import Counter
from pathlib import Path

import pytest

from tests.events.stack import Stack
from tests.servers import wait_until

pytestmark = pytest.mark.system


def test_a_child_that_is_killed_while_its_worker_starts_is_replaced(
    stack: Stack, tmp_path: Path
) -> None:
    note = tmp_path / "killed"
    worker = stack.work("pings", KILL_FIRST_CHILD=str(note))
    stack.relay()
    stack.ping(1)

    wait_until(lambda: stack.effects("answered") == Counter([1]), what="the effect of the ping")
    assert (note.exists(), worker.running()) == (True, True)
