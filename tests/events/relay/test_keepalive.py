"""The heartbeat of a relay whose loop is held up."""

import threading
import time

import pytest

from events import heartbeat
from events.relay import keepalive
from events.relay.keepalive import GIVEN_UP_AFTER, Keepalive
from tests.servers import wait_until


@pytest.fixture(autouse=True)
def _checks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "CHECK_INTERVAL", 0.01)


def test_a_relay_that_is_held_up_beats_nevertheless() -> None:
    beaten, held_up_since = threading.Event(), time.monotonic() - 2 * heartbeat.INTERVAL
    with Keepalive(beaten.set, lambda: held_up_since):
        wait_until(beaten.is_set, what="a heartbeat")


@pytest.mark.parametrize("silence", [0.0, 2 * GIVEN_UP_AFTER], ids=["works", "stuck for ever"])
def test_a_relay_that_works_and_one_that_is_stuck_for_ever_get_no_beat_of_the_thread(
    silence: float,
) -> None:
    beats, checks, since = [0], [0], time.monotonic() - silence

    def count_check() -> float:
        checks[0] += 1
        return since if silence else time.monotonic()

    def beat() -> None:
        beats[0] += 1

    with Keepalive(beat, count_check):
        wait_until(lambda: checks[0] > 20, what="twenty checks")

    assert beats == [0]
