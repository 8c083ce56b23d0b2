"""`tidings sandbox`."""

import pytest

from events.testing import Bus
from tests.tasks.builders import found, placed
from tests.tidings.cli.calls import DAY, call, told


def test_a_gateway_is_broken_and_restored_for_all_processes(bus: Bus):
    bus.fail_fast = False
    assert told("sandbox", "payment") == "the payment sandbox is up\n"
    told("sandbox", "payment", "--down")
    order = placed(MUG=1)
    bus.drain()
    assert found(order).payment == "waiting"
    assert told("sandbox", "payment") == "the payment sandbox is down\n"

    told("sandbox", "payment", "--up")
    bus.advance(DAY)

    assert found(order).payment == "charged"


def test_a_gateway_answers_with_a_status_and_a_time_until_it_is_restored(bus: Bus):
    bus.fail_fast = False
    told("sandbox", "payment", "--answer", "503", "--retry-after", "600")
    assert "answering 503 with Retry-After: 600" in told("sandbox", "payment")
    order = placed(MUG=1)
    bus.drain()
    bus.advance(595)
    assert found(order).payment == "waiting"

    told("sandbox", "payment", "--up")
    assert told("sandbox", "payment") == "the payment sandbox is up\n"
    bus.advance(10)
    assert found(order).payment == "charged"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("payment", "--down", "--answer", "503"), "give one of --down, --up and --answer"),
        (("payment", "--answer", "200"), "200 is not in the range 300<=x<=599"),
        (("email", "--answer", "354"), "4xx (not now) or 5xx (for good)"),
        (("payment", "--retry-after", "5"), "--retry-after belongs to --answer"),
        (("email", "--answer", "450", "--retry-after", "5"), "SMTP does not"),
        (("payment", "--answer", "503", "--retry-after", "5" * 101), "longer than 100"),
    ],
)
def test_an_answer_that_no_gateway_gives_is_wrong_usage(
    bus: Bus, words: tuple[str, ...], text: str
):
    result = call("sandbox", *words)

    assert (result.exit_code, text in result.stderr) == (2, True), result.stderr
    assert told("sandbox", words[0]) == f"the {words[0]} sandbox is up\n"
