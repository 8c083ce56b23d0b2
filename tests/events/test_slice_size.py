"""The size of a slice: rows for 50 ms of the write lock, whatever a row costs."""

import pytest

from events.slice_size import FIRST_ROWS, MIN_ROWS, TARGET, SliceSize


@pytest.mark.parametrize("cost", [0.0001, 0.0005, 0.002])
def test_slices_settle_at_the_number_of_rows_that_takes_fifty_milliseconds(cost: float) -> None:
    size = SliceSize(1000)

    for _ in range(6):
        size.learn(size.rows, size.rows * cost)

    assert size.rows == pytest.approx(TARGET / cost, abs=1)


@pytest.mark.parametrize(
    ("rows", "seconds", "then"),
    [
        (FIRST_ROWS, 0.0, 2 * FIRST_ROWS),  # no faster, because the next rows may cost more
        (FIRST_ROWS, 60.0, MIN_ROWS),  # no smaller, or a slow disk would make an act endless
        (3, 0.001, FIRST_ROWS),  # a rest that was quick says nothing
        (3, 0.1, MIN_ROWS),  # a slow one does
    ],
)
def test_one_slice_changes_the_size_within_limits(rows: int, seconds: float, then: int) -> None:
    size = SliceSize(1000)
    size.learn(rows, seconds)
    assert size.rows == then
