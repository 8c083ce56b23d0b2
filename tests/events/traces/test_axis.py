"""The time axis: what is cut short on it, its places and its ticks."""

from datetime import UTC, datetime, timedelta

import pytest

from events.traces import axis

START = datetime(2026, 11, 25, 2, 37, 44, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("times", "cuts"),
    [
        ([0, 0.5, 1.0, 1.5], []),
        ([0, 0.5, 1, 2041, 2042], [2040]),  # 34 minutes beside two seconds
        ([0, 1, 3601, 3602, 7302, 7303], [3600, 3700]),
        ([0, 0.001, 0.9], []),  # below a second nothing is cut
        ([0, 3600], []),  # there are no neighbours
        ([0], []),
        ([], []),
    ],
)
def test_a_gap_much_longer_than_all_shorter_ones_is_cut(times: list[float], cuts: list[float]):
    found = axis.over(map(at, times))

    assert [round(each.seconds) for each in found.cuts] == cuts


@pytest.mark.parametrize("gaps", [1, 2, 3, 40])
def test_places_keep_their_order_and_cuts_leave_room_for_the_rest(gaps: int):
    times = [at(number * 86_400 + extra) for number in range(gaps + 1) for extra in (0, 1, 2)]
    found = axis.over(times)
    places = [found.position(each) for each in times]

    assert len(found.cuts) == gaps
    assert places == sorted(set(places))
    assert (places[0], round(places[-1], 9)) == (0, 1)
    assert sum(each.right - each.left for each in found.cuts) <= axis.WIDTH_OF_CUTS + 1e-9
    assert found.position(at(-5)) == 0
    assert found.position(at(1e9)) == pytest.approx(1)


@pytest.mark.parametrize("length", [2e-6, 0.003, 0.7, 1, 9, 75, 5000, 200_000, 1e9])
def test_ticks_are_round_and_few_whatever_the_length(length: float):
    ticks = list(axis.over([START, at(length)]).ticks())

    assert 2 <= len(ticks) <= axis.TICKS + 1
    assert ticks[0].at == 0
    assert all(each.at <= 1 for each in ticks)


def test_ticks_count_anew_after_a_cut():
    found = axis.over(map(at, [0, 1, 2, 3000, 3001, 3002]))
    ticks = list(found.ticks())

    assert {each.part for each in ticks} == {0, 1}
    assert [each.time for each in ticks if each.part and not each.seconds] == [at(3000)]
    assert not [each for each in ticks if at(2) < each.time < at(3000)]
