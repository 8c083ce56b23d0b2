"""`tidings queues`."""

from events import heartbeat
from events.tables import QueueTrouble
from tests.tidings.cli.calls import answered, told


def test_queues_shows_what_is_dead(number: str):
    rows = {row["name"]: row for row in answered("queues")}

    assert rows["payment"]["dead"] == 1
    assert rows["payment"]["workers"] == 0
    assert "payment" in told("queues")


def test_queues_names_what_the_broker_refuses_with_the_fix(number: str):
    full: QueueTrouble = {"reason": "is full", "fix": "start workers"}
    heartbeat.beat("relay@a", "relay", queue_troubles={"payment": full})
    rows = {row["name"]: row for row in answered("queues")}

    assert (rows["payment"]["trouble"], rows["payment"]["fix"]) == ("is full", "start workers")
    assert rows["email"]["trouble"] is None
    assert "is full" in told("queues")
