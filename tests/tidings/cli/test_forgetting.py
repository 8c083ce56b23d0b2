"""`tidings prune` and `tidings erase`, as an operator calls them."""

import pytest

from events import reading
from events.admin import audit
from events.testing import Bus
from tests.tasks.builders import found, placed
from tests.tidings.cli.calls import answered, call, told

DAY = 24 * 3600.0


@pytest.fixture
def dead(bus: Bus) -> str:
    """The number of an order whose charge died a hundred days ago."""
    order = placed("tok_broken", MUG=1)
    bus.drain()
    for _ in range(100):
        bus.advance(DAY)
    return order.number


def test_prune_counts_before_it_forgets_and_the_audit_tells_why(dead: str):
    counted = answered("prune", "--dry-run")

    assert (counted["dead_letters"], counted["events"]) == (1, 0)
    assert "dead letters and discarded deliveries" in told("prune", "--why", "as every night")
    assert answered("prune", "--dry-run")["dead_letters"] == 0
    assert answered("dead-letters", "list") == []
    with reading() as session:
        assert [(line.action, line.why) for line in audit.listed(session)] == [
            ("prune", "as every night")
        ]


@pytest.mark.parametrize(
    "words", [("--dead-after", "0"), ("--dead-after", "-1"), ("--done-after", "soon")]
)
def test_prune_wants_days(bus: Bus, words: tuple[str, ...]):
    assert call("prune", *words).exit_code == 2


def test_erase_asks_first_and_does_nothing_without_a_yes(bus: Bus):
    order = placed()
    bus.drain()

    assert call("erase", "--email", "ada@example.org", input="n\n").exit_code == 1
    assert found(order).email == "ada@example.org"
    assert "orders" in told("erase", "--email", "ADA@example.org ", "--yes", "--why", "a letter")
    assert found(order).email == "erased@erased.invalid"
    assert (
        told("erase", "--email", "ada@example.org", "--yes") == "nothing is known of this address\n"
    )


def test_erase_refuses_while_an_order_is_open_and_says_which(bus: Bus, dead: str):
    result = call("erase", "--email", "ada@example.org", "--yes")

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {dead} of this customer has not ended; ")
    assert call("erase", "--email", "ada@example.org", "--yes", "--force").exit_code == 0


def test_erase_wants_an_address(bus: Bus):
    assert call("erase", "--email", "ada", "--yes").exit_code == 2
