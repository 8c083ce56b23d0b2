"""The doctor's counts of dead letters and invalid messages."""

from events import clock, transaction
from events.tables import InvalidMessageRow
from events.testing import Bus
from tests.tasks.builders import placed
from tests.tidings.doctor.examined import examined, problems


def test_dead_letters_are_found(bus: Bus) -> None:
    bus.fail_fast = False
    placed("tok_broken")
    for _ in range(10):
        bus.advance(3600)

    assert "dead letters: 1 need an operator's decision" in problems(examined())


def test_invalid_messages_are_found(well: None) -> None:
    with transaction() as session:
        session.add(
            InvalidMessageRow(
                at=clock.now(),
                queue="payment",
                reason="unknown task",
                error="",
                headers="{}",
                body=b"",
            )
        )

    assert problems(examined()) == [
        "invalid messages: 1 messages on the queues were no task messages of Tidings"
    ]
