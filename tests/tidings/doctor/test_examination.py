"""The examination as a whole."""

from tests.tidings.doctor.examined import examined
from tidings.doctor.findings import guarded


def test_a_shop_that_is_well_is_told_so(well: None) -> None:
    assert {each.level for each in examined()} == {"ok"}


def test_a_check_that_fails_in_a_new_way_is_a_finding_too() -> None:
    [found] = guarded("broker", lambda: [1 / 0])  # type: ignore[list-item]

    assert (found.level, found.message) == (
        "problem",
        "the examination failed: ZeroDivisionError: division by zero",
    )
