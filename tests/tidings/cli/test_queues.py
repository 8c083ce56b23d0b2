"""`tidings queues`."""

from tests.tidings.cli.calls import answered, told


def test_queues_shows_what_is_dead(number: str):
    rows = {row["name"]: row for row in answered("queues")}

    assert rows["payment"]["dead"] == 1
    assert rows["payment"]["workers"] == 0
    assert "payment" in told("queues")
