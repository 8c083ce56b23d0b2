"""`tidings prune`."""

import pytest

from events import reading
from events.admin import audit
from events.testing import Bus
from tests.tidings.cli.calls import answered, call, told


def test_prune_counts_before_it_deletes_and_the_audit_has_the_reason(dead: str):
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
    "words",
    [
        *(("--dead-after", each) for each in ("0", "-1", "999999999")),
        ("--done-after", "soon"),
        ("--audit-after", "99999999999"),
    ],
)
def test_prune_wants_days(bus: Bus, words: tuple[str, ...]):
    assert call("prune", *words).exit_code == 2
