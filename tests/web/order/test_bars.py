"""The drawing of a trace's time axis."""

from datetime import UTC, datetime

import pytest

from events.traces.axis import Tick
from web.order.bars import labels

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("places", "labelled"),
    [
        ([0.0, 0.125, 0.875, 1.0], ["start", "start", "start"]),
        ([0.0, 0.25, 0.5, 0.75, 1.0], ["start"] * 4 + ["end"]),
        ([0.0, 0.46, 0.92], ["start"] * 3),
    ],
)
def test_a_label_at_the_end_of_the_axis_never_covers_the_one_before(
    places: list[float], labelled: list[str]
):
    ticks = [Tick(place, AT, place, 0) for place in places]

    assert [label.anchor for label in labels(ticks)] == labelled
