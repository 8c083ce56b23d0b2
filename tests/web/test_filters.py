"""Times and durations as pages show them."""

from datetime import UTC, datetime

import pytest

from events import clock
from web.filters import date_and_time, day, duration, masked, number, plural, sentence, time_of_day

NOON = datetime(2026, 3, 1, 12, 0, 5, 42_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0.00 sec"),
        (4.306, "4.31 sec"),
        (10, "10 sec"),
        (119, "119 sec"),
        (120, "2 min"),
        (9000, "2 hr"),
        (200_000, "2 days"),
    ],
)
def test_a_duration_is_written_in_one_unit(seconds: float | None, text: str):
    assert duration(seconds) == text


def test_times_are_written_as_precisely_as_the_page_needs():
    assert day(NOON) == "Sun 1 Mar 2026"
    assert time_of_day(NOON) == "12:00:05"
    assert time_of_day(NOON, "milliseconds") == "12:00:05.042"
    assert date_and_time(None) == day(None) == time_of_day(None) == ""


def test_a_time_has_its_day_and_the_year_only_if_it_is_not_this_one():
    clock.follow(lambda: NOON)
    try:
        assert date_and_time(NOON) == "Sun 1 Mar 12:00:05"
        assert date_and_time(NOON.replace(year=2025)) == "Sat 1 Mar 2025 12:00:05"
    finally:
        clock.follow(None)


def test_numbers_have_commas_and_their_noun():
    assert number(1204) == "1,204"
    assert plural(1, "order") == "1 order"
    assert plural(1204, "delivery", "deliveries") == "1,204 deliveries"


def test_a_masked_address_is_known_to_its_owner_only():
    assert masked("ada@example.org") == "a***@example.org"


def test_an_error_that_repeats_what_was_typed_turns_no_text_around() -> None:
    assert sentence("write it in \u202eEUR\0") == "Write it in \\u202eEUR\\u0000."
