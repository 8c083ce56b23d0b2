"""`tidings replays`: jobs on the command line, with the words of the page and the API."""

import pytest

from events.testing import Bus
from tests.tidings.cli.calls import answered, call, told


def test_a_replay_is_started_shown_listed_paused_resumed_and_stopped(bus: Bus, letter: str):
    job = answered("replays", "start", letter, "--canary", "--rate", "0.5", "--why", "mended")
    number = str(job["id"])

    assert (job["state"], job["total"], job["rate"]) == ("running", 1, 0.5)
    assert [step["size"] for step in job["steps"]] == [1, 5, 25, None]
    assert answered("replays", "list")[0]["id"] == job["id"]
    assert answered("replays", "show", number)["why"] == "mended"
    assert "mended" in told("replays")
    shown = told("replays", "show", number)
    for line in (
        "which       1 dead letter, chosen one by one",
        "given back  1 of 1",
        "step        1 of 4",
        "rate        0.5 each second",
        "stops if    over 10 % of a step die again",
    ):
        assert f"\n{line}\n" in shown
    assert "all others" in shown
    assert told("replays", "pause", number, "--why", "wait") == f"replay {number} is paused\n"
    assert call("replays", "pause", number, "--why", "wait").exit_code == 4
    assert told("replays", "resume", number, "--why", "go") == f"replay {number} is running\n"
    assert told("replays", "stop", number, "--why", "enough") == f"replay {number} is stopped\n"
    assert "enough" in answered("replays", "show", number)["stopped_because"]
    refused = call("replays", "resume", number, "--why", "go")
    assert (refused.exit_code, refused.stderr) == (
        1,
        f"Error: replay {number} is stopped; start another one for what is left\n",
    )


def test_a_second_replay_of_the_same_dead_letters_is_told_of_the_first(bus: Bus, letter: str):
    told("replays", "start", "--queue", "payment", "--canary", "1", "--why", "mended")
    second = call("dead-letters", "replay", "--queue", "payment", "--why", "mended")

    assert second.exit_code == 1
    assert "replay 1 of " in second.stderr
    assert "stop it: `tidings replays stop 1`" in second.stderr


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--all", "--canary", "0"),
        ("--all", "--canary", "1,x"),
        ("--all", "--canary", "1,2,3,4,5,6,7,8,9,10,11"),
        ("--all", "--rate", "0"),
        ("--all", "--rate", "1e3"),
        ("--all", "--stop-above", "2"),
    ],
)
def test_a_selection_or_pace_that_cannot_work_is_refused(bus: Bus, words: tuple[str, ...]):
    assert call("replays", "start", *words, "--why", "mended").exit_code == 2


def test_a_number_of_no_replay_is_one_line(bus: Bus):
    result = call("replays", "show", "7")

    assert (result.exit_code, result.stderr) == (
        1,
        "Error: there is no replay 7; `tidings replays` lists them\n",
    )
    assert answered("replays", "list") == []
